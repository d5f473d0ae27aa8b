"""Checks a whole log: every line alone, that none is missing, and that none was put in."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from moderation.adapters.decision_log.expiry import expired_ranges
from moderation.adapters.decision_log.lines import BEGINNING, Kind, Line, LineUnsound, Position
from moderation.adapters.decision_log.segments import (
    Place,
    first_of,
    line_at,
    places_of,
    segments_of,
    try_lock,
    writers_of,
)


@dataclass(slots=True)
class Verified:
    """What a check has found."""

    problems: list[str] = field(default_factory=list)
    """Each as `file:line: what`."""
    lines: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    lost_answers: int = 0
    """Answers that were given without a record, as the log itself tells."""
    expired: int = 0
    """Lines that retention has removed."""
    heads: dict[str, Position] = field(default_factory=dict)
    """Where each writer's chain ends. Kept elsewhere, it shows a log that was written anew."""


def verify(directory: Path) -> Verified:
    """Check every writer's files; a server may be writing. Raises LogUnavailable."""
    verified = Verified()
    for writer in writers_of(directory):
        _Check(writer, verified).run()
    return verified


class _Check:
    """Follows one writer's chain."""

    def __init__(self, writer: Path, verified: Verified) -> None:
        self._writer = writer
        self._verified = verified
        self._expired = expired_ranges(writer)
        self._sequence = 0
        self._chain: str | None = BEGINNING
        """None after damage: what follows is taken as the chain's new place."""

    def run(self) -> None:
        verified = self._verified
        verified.expired += sum(one.last - one.first + 1 for one in self._expired)
        being_written = _is_written(self._writer)
        for segment in segments_of(self._writer):
            self._enter(segment)
            for place in places_of(segment):
                if being_written and not place.raw.endswith(b"\n"):
                    break
                self._see(place, line_at(place))
        verified.heads[self._writer.name] = Position(self._sequence, self._chain or BEGINNING)

    def _enter(self, segment: Path) -> None:
        """The numbers before a file are there, or retention has removed them."""
        first = first_of(segment)
        for one in self._expired:
            if one.first <= self._sequence + 1 <= one.last < first:
                self._sequence, self._chain = one.last, one.chain
        if first != self._sequence + 1:
            missing = f"{self._sequence + 1} to {first - 1}"
            self._verified.problems.append(f"{segment}: lines number {missing} are missing")
            self._sequence, self._chain = first - 1, None

    def _see(self, place: Place, line: Line | LineUnsound) -> None:
        self._verified.lines += 1
        if isinstance(line, LineUnsound):
            self._tell(place, str(line))
            self._sequence, self._chain = self._sequence + 1, None
            return
        self._count(line)
        if line.position.sequence != self._sequence + 1:
            self._tell(place, _out_of_order(self._sequence + 1, line.position.sequence))
        elif self._chain is not None and not line.follows(self._chain):
            self._tell(place, "does not continue the line before: one of them was put in")
        self._sequence, self._chain = line.position.sequence, line.position.chain

    def _count(self, line: Line) -> None:
        self._verified.kinds[line.kind] += 1
        if line.kind is Kind.LOST:
            self._verified.lost_answers += int(line.fields["answers"])

    def _tell(self, place: Place, problem: str) -> None:
        self._verified.problems.append(f"{place}: {problem}")


def _out_of_order(expected: int, found: int) -> str:
    if found > expected:
        return f"lines number {expected} to {found - 1} are missing before it"
    return f"is line number {found}, where {expected} should be: it was put in or moved"


def _is_written(writer: Path) -> bool:
    """Whether a server writes there."""
    lock = try_lock(writer)
    if lock is not None:
        os.close(lock)
    return lock is None
