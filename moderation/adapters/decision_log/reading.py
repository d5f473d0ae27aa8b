"""Finds decisions in a log, in the order in which each server wrote them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from moderation.adapters.decision_log.lines import Kind, Line
from moderation.adapters.decision_log.records import (
    RecordCodec,
    RecordUnreadable,
    is_decision,
    moment_of,
)
from moderation.adapters.decision_log.segments import (
    line_at,
    places_of,
    segments_of,
    writers_of,
)
from moderation.core.record import DecisionRecord

SEALED_MARK = f'"kind":"{Kind.SEALED.value}"'.encode("ascii")


@dataclass(frozen=True, slots=True)
class Query:
    """What to find; what is empty or None takes any."""

    decision_id: str = ""
    content_id: str = ""
    policy_id: str = ""
    """One whose verdict is in the record, be it a shadow's."""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None
    request_id: str = ""

    def takes(self, record: DecisionRecord) -> bool:
        """Whether the decision is wanted."""
        moment = moment_of(record)
        return (
            self.decision_id in {"", record.decision_id}
            and self.content_id in {"", record.content_id}
            and self.action in {"", record.action}
            and self.request_id in {"", record.request_id}
            and (not self.policy_id or self.policy_id in {v.policy_id for v in record.verdicts})
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment <= self.until)
        )

    def needles(self) -> tuple[bytes, ...]:
        """What the bytes of a line must hold for it to be worth reading."""
        wanted = (
            self.decision_id,
            self.content_id,
            self.policy_id,
            self.action,
            self.request_id,
        )
        return tuple(json.dumps(one).encode("ascii") for one in wanted if one)


def find(
    directory: Path,
    query: Query,
    codec: RecordCodec,
    warn: Callable[[str], None] = lambda problem: None,
) -> Iterator[DecisionRecord]:
    """Every decision that is wanted; lines that cannot be read are told and passed over.

    Raises LogUnavailable.
    """
    needles = query.needles()
    for writer in writers_of(directory):
        for segment in segments_of(writer):
            for place in places_of(segment):
                if not _may_hold(place.raw, needles):
                    continue
                line = line_at(place)
                try:
                    record = _decision(line, codec)
                except RecordUnreadable as problem:
                    warn(f"{place}: {problem}")
                    continue
                if record is not None and query.takes(record):
                    yield record


def _may_hold(raw: bytes, needles: tuple[bytes, ...]) -> bool:
    return SEALED_MARK in raw or all(needle in raw for needle in needles)


def _decision(line: Line | ValueError, codec: RecordCodec) -> DecisionRecord | None:
    if not isinstance(line, Line):
        raise RecordUnreadable(str(line))
    return codec.decode(line) if is_decision(line) else None
