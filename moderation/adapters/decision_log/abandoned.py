"""Lets records expire that no server is writing beside any more, as after a rolling restart."""

import os
from datetime import datetime
from pathlib import Path

from moderation.adapters.decision_log.lines import Kind, as_json, write_line
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.recovery import recover
from moderation.adapters.decision_log.retention import Retention, tidy
from moderation.adapters.decision_log.segments import (
    create_segment,
    places_of,
    segment_path,
    segments_of,
    try_lock,
    writers_of,
)


def tidy_abandoned(
    directory: Path, retention: Retention, codec: RecordCodec, now: datetime
) -> None:
    """Remove what is due of every writer's files that nobody writes; raises OSError."""
    for writer in writers_of(directory):
        lock = try_lock(writer)
        if lock is None:
            continue
        try:
            _end_last_file(writer, now)
            tidy(writer, retention, codec, now)
        finally:
            os.close(lock)


def _end_last_file(writer: Path, now: datetime) -> None:
    """Begin another, whose time is then taken for the end of the last one."""
    found = recover(writer)
    segments = segments_of(writer)
    if not segments or len(list(places_of(segments[-1]))) == 1:
        return
    header = header_fields(writer, found.position.chain, now)
    line, position = write_line(Kind.SEGMENT, header, found.position)
    os.close(create_segment(segment_path(writer, position.sequence), line))


def header_fields(writer: Path, previous: str, now: datetime) -> bytes:
    """What the first line of a file says, after a chain that stood at `previous`."""
    return as_json({"at": now.isoformat(), "previous": previous, "writer": writer.name})
