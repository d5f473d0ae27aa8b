"""Removes what is too old or too much: whole files, the oldest first, never what is held."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from moderation.adapters.decision_log.erasing import erase_all_but
from moderation.adapters.decision_log.expiry import Expired, note_expired
from moderation.adapters.decision_log.holds import Holds, read_holds
from moderation.adapters.decision_log.lines import BEGINNING, Line
from moderation.adapters.decision_log.records import RecordCodec, is_decision
from moderation.adapters.decision_log.segments import (
    first_of,
    header_of,
    line_at,
    places_of,
    segments_of,
)


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much is kept; None: without a limit.

    The age is that of a file's last record, so that the first one may be older by as
    much as a file holds.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Closed:
    path: Path
    after: Path
    """The file that follows: it was begun when this one ended."""
    size: int


def tidy(writer: Path, retention: Retention, codec: RecordCodec, now: datetime) -> None:
    """Remove what is due of one writer's files; raises OSError, for instance HoldsUnreadable.

    Of a file with a record that is held, all other records are erased in place.
    """
    due = list(_due(writer, retention, now))
    if not due:
        return
    holds = read_holds(writer.parent)
    for closed in due:
        if holds and _has_held(closed.path, holds, codec):
            erase_all_but(closed.path, lambda one: holds.on(one) is not None, codec, now)
        else:
            note_expired(writer, _range(closed))
            closed.path.unlink()


def _due(writer: Path, retention: Retention, now: datetime) -> Iterator[_Closed]:
    segments = segments_of(writer)
    sizes = [path.stat().st_size for path in segments]
    total = sum(sizes)
    for closed in _closed(segments, sizes):
        is_too_much = retention.max_bytes is not None and total > retention.max_bytes
        if is_too_much or _is_too_old(closed.after, retention, now):
            total -= closed.size
            yield closed


def _closed(segments: Sequence[Path], sizes: Sequence[int]) -> list[_Closed]:
    """All but the last, which is being written."""
    pairs = zip(segments, segments[1:], sizes, strict=False)
    return [_Closed(path, after, size) for path, after, size in pairs]


def _is_too_old(after: Path, retention: Retention, now: datetime) -> bool:
    header = header_of(after)
    if retention.max_age_s is None or header is None:
        return False
    ended = datetime.fromisoformat(str(header.fields["at"]))
    return now - ended > timedelta(seconds=retention.max_age_s)


def _has_held(segment: Path, holds: Holds, codec: RecordCodec) -> bool:
    lines = (line_at(place) for place in places_of(segment))
    decisions = (one for one in lines if isinstance(one, Line) and is_decision(one))
    return any(holds.on(codec.decode(one)) is not None for one in decisions)


def _range(closed: _Closed) -> Expired:
    header = header_of(closed.after)
    chain = str(header.fields["previous"]) if header is not None else BEGINNING
    return Expired(first_of(closed.path), first_of(closed.after) - 1, chain)
