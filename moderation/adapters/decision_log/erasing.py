"""Overwrites decisions where they are, so that nothing of them is left and the chain still holds.

A line is replaced by one of the same length. So a server may append to the same
file meanwhile, and the bytes on the disk are those that are overwritten. (What a
file system with snapshots or a disk keeps of overwritten blocks is beyond a
program's reach.)
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from pathlib import Path

from moderation.adapters.decision_log.holds import Hold, read_holds
from moderation.adapters.decision_log.lines import Kind, Line, erased_line
from moderation.adapters.decision_log.records import RecordCodec, is_decision
from moderation.adapters.decision_log.segments import (
    Place,
    line_at,
    places_of,
    segments_of,
    writers_of,
)
from moderation.core.record import DecisionRecord


class Held(OSError):
    """What is to be erased is under a legal hold."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure has found."""

    records: int
    content_digests: frozenset[str]
    """Of the contents whose decisions were erased, as the log had them."""
    damaged: tuple[Place, ...] = ()
    """Lines that hold the id and cannot be read: they are left for a person to look at."""


@dataclass(frozen=True, slots=True)
class _Found:
    place: Place
    line: Line
    record: DecisionRecord


@dataclass(frozen=True, slots=True)
class _Sought:
    """One content, or all whose ids begin alike."""

    content_id: str
    is_prefix: bool

    @property
    def needle(self) -> bytes:
        """What a line in plain holds if it is of these; others may hold it, too."""
        quoted = json.dumps(self.content_id)
        return (quoted[:-1] if self.is_prefix else quoted).encode("ascii")

    def includes(self, content_id: str) -> bool:
        """Whether it is one of these."""
        if self.is_prefix:
            return content_id.startswith(self.content_id)
        return content_id == self.content_id


def erase_content(
    directory: Path, content_id: str, codec: RecordCodec, now: datetime, *, is_prefix: bool = False
) -> Erased:
    """Erase every decision on a content, or on all whose ids begin so; a server may be writing.

    Raises Held, and then nothing was erased, RecordUnreadable or OSError.
    """
    holds = read_holds(directory)
    sought = _Sought(content_id, is_prefix)
    found = list(_decisions_on(directory, sought, codec))
    for one in found:
        if hold := holds.on(one.record):
            raise Held(_held(one, hold))
    for segment in {one.place.path for one in found}:
        lines = [(one.place, one.line) for one in found if one.place.path == segment]
        overwrite(segment, lines, now)
    digests = frozenset(one.record.content_digest for one in found)
    return Erased(len(found), digests, tuple(_damaged(directory, sought)))


def erase_all_but(
    segment: Path, is_kept: Callable[[DecisionRecord], bool], codec: RecordCodec, now: datetime
) -> None:
    """Erase the decisions of a file that are not kept; raises RecordUnreadable or OSError."""
    lines = [(place, line) for place, line in _decisions(segment)]
    overwrite(segment, [one for one in lines if not is_kept(codec.decode(one[1]))], now)


def overwrite(segment: Path, lines: Iterable[tuple[Place, Line]], now: datetime) -> None:
    """Leave of these lines only that there were such, when, and what was answered."""
    file = os.open(segment, os.O_WRONLY)
    try:
        for place, line in lines:
            os.pwrite(file, erased_line(line, len(place.raw), _kept_of(line, now)), place.offset)
        os.fsync(file)
    finally:
        os.close(file)


def _kept_of(line: Line, now: datetime) -> dict[str, object]:
    at = now.isoformat(timespec="seconds")
    if line.kind is Kind.SEALED:
        return {"erased_at": at}
    return {"erased_at": at, "action": line.fields["action"]}


def _decisions_on(directory: Path, sought: _Sought, codec: RecordCodec) -> Iterator[_Found]:
    for writer in writers_of(directory):
        for segment in segments_of(writer):
            for place, line in _decisions(segment, sought.needle):
                record = codec.decode(line)
                if sought.includes(record.content_id):
                    yield _Found(place, line, record)


def _damaged(directory: Path, sought: _Sought) -> Iterator[Place]:
    for writer in writers_of(directory):
        for place in chain.from_iterable(map(places_of, segments_of(writer))):
            if sought.needle in place.raw and not isinstance(line_at(place), Line):
                yield place


def _decisions(segment: Path, needle: bytes = b"") -> Iterator[tuple[Place, Line]]:
    """Those lines that could hold the needle; a sealed one always could."""
    for place in places_of(segment):
        if needle in place.raw or b'"kind":"sealed"' in place.raw:
            line = line_at(place)
            if isinstance(line, Line) and is_decision(line):
                yield place, line


def _held(found: _Found, hold: Hold) -> str:
    return f"{found.place}: is under a legal hold ({hold.reason}); nothing was erased"
