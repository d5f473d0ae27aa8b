"""What a start finds after the end of the process before, be it orderly or not."""

import os
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.decision_log.expiry import expired_until
from moderation.adapters.decision_log.lines import Line, Position
from moderation.adapters.decision_log.segments import first_of, line_at, places_of, segments_of


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where to go on."""

    position: Position
    segment: Path | None = None
    """The file to go on with; None: begin a new one."""
    size: int = 0
    torn_bytes: int = 0
    """What was cut off, because its writing had not ended: nobody had an answer from it."""


def recover(writer: Path) -> Recovered:
    """Cut off the end of a line that a crash has left; raises OSError.

    Nothing else is changed. Whole lines that are damaged stay where they are, for
    `verify` to name them, and the log goes on in another file.
    """
    torn_bytes = 0
    for segment in reversed(segments_of(writer)):
        found = _recovered(segment)
        torn_bytes += found.torn_bytes
        if found.size:
            return Recovered(found.position, found.segment, found.size, torn_bytes)
        segment.unlink()
    return Recovered(expired_until(writer), torn_bytes=torn_bytes)


def _recovered(segment: Path) -> Recovered:
    position, size, torn_bytes, is_sound = Position(first_of(segment) - 1), 0, 0, False
    for place in places_of(segment):
        if not place.raw.endswith(b"\n"):
            torn_bytes = len(place.raw)
            os.truncate(segment, size)
            break
        line = line_at(place)
        is_sound = isinstance(line, Line)
        damaged = Position(position.sequence + 1, position.chain)
        position = line.position if isinstance(line, Line) else damaged
        size += len(place.raw)
    return Recovered(position, segment if is_sound else None, size, torn_bytes)
