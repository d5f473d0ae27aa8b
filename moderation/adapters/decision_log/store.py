"""The writing side of a decision log: lines go to the end of one file, a batch in one write.

All of it is called from one thread. Either a whole batch is in the file, or an
error is raised and the file is as it was before.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from moderation.adapters.decision_log.abandoned import header_fields, tidy_abandoned
from moderation.adapters.decision_log.lines import Kind, Position, as_json, write_line
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.recovery import Recovered, recover
from moderation.adapters.decision_log.retention import Retention, tidy
from moderation.adapters.decision_log.segments import (
    create_segment,
    header_of,
    segment_path,
    take_writer,
    write_all,
)
from moderation.core.record import Judgement

TIDY_EVERY_S = 3600.0


class Fsync(StrEnum):
    """When the operating system is made to bring lines to the disk.

    A crash of this process loses nothing anyway; these are for a crash of the machine.
    """

    ALWAYS = "always"
    """Before the answer."""
    INTERVAL = "interval"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class WriteRules:
    """How lines become durable, and when a new file is begun."""

    fsync: Fsync = Fsync.INTERVAL
    fsync_every_s: float = 1.0
    segment_bytes: int = 64 * 2**20
    segment_s: float = 86400.0


class DecisionLogStore:
    """A context manager; `append` and `tend` are for one worker thread."""

    def __init__(  # noqa: PLR0913 - its parts, each by name
        self,
        directory: Path,
        *,
        rules: WriteRules,
        retention: Retention,
        codec: RecordCodec,
        clock: Callable[[], datetime],
        monotonic: Callable[[], float] = time.monotonic,
        fsync: Callable[[int], None] = os.fsync,
    ) -> None:
        self._directory = directory
        self._rules = rules
        self._retention = retention
        self._codec = codec
        self._clock = clock
        self._monotonic = monotonic
        self._fsync = fsync
        self._lock = -1
        self._file = -1
        self._size = 0
        self._is_dirty = False
        self._is_torn = False
        self._position = Position()
        self._opened_at = self._synced_at = 0.0
        self._tidied_at = -TIDY_EVERY_S
        self.writer = directory
        """The directory of this process's files, once it is open."""
        self.torn_bytes = 0
        """What the process before had left of a line, when it was killed."""

    def __enter__(self) -> Self:
        """Take a directory and find the end of its log; raises LogUnavailable or OSError."""
        self.writer, self._lock = take_writer(self._directory)
        try:
            self._resume(recover(self.writer))
        except OSError:
            self._close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Bring everything to the disk and let others have the directory."""
        if self._rules.fsync is not Fsync.NEVER and self._is_dirty:
            self._fsync(self._file)
        self._close()

    def append(self, judgements: Sequence[Judgement], *, lost: int = 0) -> int:
        """Write all of them, or raise OSError; how many bytes that were.

        `lost` answers were given since the last batch without being recorded.
        """
        lines: list[tuple[Kind, bytes]] = []
        if lost:
            lines.append((Kind.LOST, as_json({"at": self._now(), "answers": lost})))
        lines += [self._codec.encode(one) for one in judgements]
        if self._is_full():
            self._begin_segment()
        size, position = self._size, self._position
        n_bytes = self._write(lines)
        if self._rules.fsync is Fsync.ALWAYS:
            try:
                self._sync()
            except OSError:  # whether the lines are safe is unknown, so they are taken back
                self._size, self._position, self._is_torn = size, position, True
                raise
        return n_bytes

    def tend(self) -> None:
        """What is due beside writing: fsync, a new file, retention; raises OSError."""
        now = self._monotonic()
        is_due = now - self._synced_at >= self._rules.fsync_every_s
        if self._rules.fsync is Fsync.INTERVAL and is_due:
            self._sync()
        if now - self._opened_at >= self._rules.segment_s:
            self._begin_segment()
        if now - self._tidied_at >= TIDY_EVERY_S:
            self._tidied_at = now
            tidy(self.writer, self._retention, self._codec, self._clock())
            tidy_abandoned(self._directory, self._retention, self._codec, self._clock())

    def _resume(self, found: Recovered) -> None:
        self._position, self.torn_bytes = found.position, found.torn_bytes
        if found.segment is None:
            self._begin_segment()
        else:
            self._file = os.open(found.segment, os.O_WRONLY | os.O_APPEND)
            self._size = found.size
            self._opened_at = self._opening_of(found.segment)
        if found.torn_bytes:
            torn = as_json({"at": self._now(), "torn_bytes": found.torn_bytes})
            self._write([(Kind.RECOVERED, torn)])

    def _opening_of(self, segment: Path) -> float:
        """When a file was begun, by the monotonic clock of this process."""
        header = header_of(segment)
        assert header is not None, "a file whose lines are sound starts with its header"
        begun = datetime.fromisoformat(str(header.fields["at"]))
        return self._monotonic() - max(0.0, (self._clock() - begun).total_seconds())

    def _begin_segment(self) -> None:
        """Raises OSError, and then the former file stays in use."""
        self._mend()
        path = segment_path(self.writer, self._position.sequence + 1)
        header = header_fields(self.writer, self._position.chain, self._clock())
        line, position = write_line(Kind.SEGMENT, header, self._position)
        file = create_segment(path, line)
        try:
            if self._rules.fsync is not Fsync.NEVER:
                self._fsync(file)
                _sync_directory(self.writer)
                self._sync()
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        if self._file >= 0:
            os.close(self._file)
        self._file, self._size, self._position = file, len(line), position
        self._opened_at = self._monotonic()
        self._tidied_at = -TIDY_EVERY_S  # there is a file more

    def _write(self, lines: Sequence[tuple[Kind, bytes]]) -> int:
        self._mend()
        position, written = self._position, []
        for kind, fields in lines:
            line, position = write_line(kind, fields, position)
            written.append(line)
        batch = b"".join(written)
        self._is_torn = True
        try:
            write_all(self._file, batch)
        except OSError:
            with suppress(OSError):  # it is tried again before the next write
                self._mend()
            raise
        self._is_torn, self._is_dirty = False, True
        self._size += len(batch)
        self._position = position
        return len(batch)

    def _mend(self) -> None:
        """Cut off what a failed write has left; that needs no room on the disk."""
        if self._is_torn:
            os.ftruncate(self._file, self._size)
            self._is_torn = False

    def _is_full(self) -> bool:
        return self._size >= self._rules.segment_bytes

    def _sync(self) -> None:
        if self._is_dirty:
            self._fsync(self._file)
            self._is_dirty = False
        self._synced_at = self._monotonic()

    def _now(self) -> str:
        return self._clock().isoformat()

    def _close(self) -> None:
        for file in {self._file, self._lock} - {-1}:
            os.close(file)
        self._file = self._lock = -1


def _sync_directory(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
