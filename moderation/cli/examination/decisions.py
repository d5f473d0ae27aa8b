"""Whether the decision log can be read with the keys that are set, by the end of each file."""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.cli.examination.findings import Finding, broken, good
from moderation.settings import Settings

if TYPE_CHECKING:
    from moderation.adapters.decision_log.records import RecordCodec

LINES_READ = 10


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    if not settings.decision_log.directory:
        yield good("none is kept", "decision_log.directory")
        return
    from moderation.adapters.decision_log.holds import read_holds
    from moderation.adapters.decision_log.segments import writers_of
    from moderation.recording import record_codec

    directory = Path(settings.decision_log.directory)
    where = f"decision_log.directory {directory}"
    try:
        codec = record_codec(settings)
        read_holds(directory)
        writers = writers_of(directory) if directory.is_dir() and any(directory.iterdir()) else []
        for writer in writers:
            yield from _newest_lines(writer, codec)
    except (OSError, ImportError) as error:
        yield broken(str(error), where, "see docs/decision-log.md; nothing is recorded until then")
        return
    if not writers:
        yield good("nothing was recorded yet", where)


def _newest_lines(writer: Path, codec: "RecordCodec") -> Iterator[Finding]:
    from moderation.adapters.decision_log.lines import Line
    from moderation.adapters.decision_log.records import RecordUnreadable, is_decision
    from moderation.adapters.decision_log.segments import line_at, places_of, segments_of

    for segment in segments_of(writer)[-1:]:
        # Without its end, the last line is what a server is writing, or a crash that it will mend.
        whole = (place for place in places_of(segment) if place.raw.endswith(b"\n"))
        for place in deque(whole, maxlen=LINES_READ):
            line = line_at(place)
            try:
                if not isinstance(line, Line):
                    raise RecordUnreadable(str(line))
                if is_decision(line):
                    codec.decode(line)
            except RecordUnreadable as problem:
                cure = "set the keys that it was written with; then `moderation log verify`"
                yield broken(str(problem), str(place), cure)
                return
        yield good("its newest records can be read", str(segment))
