"""The files of a decision log: a directory a writer, and in it segments named by first number.

    DIR/writer-0/lock
    DIR/writer-0/decisions-000000000001.jsonl
    DIR/writer-0/expired.json       which numbers retention has removed
    DIR/holds.yaml                  what nobody may remove; written by people

Each server process writes in a directory of its own, the first that no other one
has locked: two servers on one directory both keep their records.
"""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.decision_log.lines import Kind, Line, LineUnsound, read_line

WRITER = "writer-"
LOCK = "lock"
MAX_WRITERS = 64
_SEGMENT = re.compile(r"decisions-(\d{12})\.jsonl")
OWNER_ONLY = 0o600


class LogUnavailable(OSError):
    """A directory cannot hold a decision log, or holds none."""


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a segment, counted from 1, and where its bytes are."""

    path: Path
    number: int
    offset: int
    raw: bytes

    def __str__(self) -> str:
        """The form that editors and terminals can jump to."""
        return f"{self.path}:{self.number}"


def segment_path(writer: Path, first: int) -> Path:
    """The file whose first line has this number."""
    return writer / f"decisions-{first:012}.jsonl"


def first_of(segment: Path) -> int:
    """The number of a segment's first line, by the file's name."""
    found = _SEGMENT.fullmatch(segment.name)
    assert found is not None, f"{segment} is no segment"
    return int(found[1])


def segments_of(writer: Path) -> list[Path]:
    """One writer's segments, the oldest first."""
    return sorted(path for path in writer.iterdir() if _SEGMENT.fullmatch(path.name))


def writers_of(directory: Path) -> list[Path]:
    """The writers' directories; raises LogUnavailable if there is none."""
    found = [path for path in directory.glob(f"{WRITER}*") if path.is_dir()]
    if not found:
        raise LogUnavailable(f"{directory}: holds no decision log")
    return sorted(found, key=lambda path: (len(path.name), path.name))


def places_of(segment: Path) -> Iterator[Place]:
    """Every line of a segment; a last one without its end is what a writer is at, or a crash.

    None if retention has removed it meanwhile.
    """
    offset = 0
    with suppress(FileNotFoundError), segment.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            yield Place(segment, number, offset, raw)
            offset += len(raw)


def line_at(place: Place) -> Line | LineUnsound:
    """The line there, or what is wrong with it."""
    try:
        return read_line(place.raw)
    except LineUnsound as problem:
        return problem


def header_of(segment: Path) -> Line | None:
    """A segment's first line, if that is sound."""
    first = next(places_of(segment), None)
    line = line_at(first) if first is not None else None
    return line if isinstance(line, Line) and line.kind is Kind.SEGMENT else None


def take_writer(directory: Path) -> tuple[Path, int]:
    """A writer's directory that is locked now, and the lock; raises LogUnavailable."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in range(MAX_WRITERS):
            writer = directory / f"{WRITER}{number}"
            writer.mkdir(mode=0o700, exist_ok=True)
            lock = try_lock(writer)
            if lock is not None:
                return writer, lock
    except OSError as error:
        message = f"{directory}: cannot hold a decision log: {error.strerror}"
        raise LogUnavailable(message) from error
    raise LogUnavailable(f"{directory}: {MAX_WRITERS} servers write here already")


def try_lock(writer: Path) -> int | None:
    """A lock on a writer's directory, to be closed; None while a server writes there."""
    lock = os.open(writer / LOCK, os.O_RDWR | os.O_CREAT, OWNER_ONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def create_segment(path: Path, header: bytes) -> int:
    """Begin a file with its first line, open at its end; raises OSError, and then there is none."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    try:
        write_all(file, header)
    except OSError:
        os.close(file)
        path.unlink()
        raise
    return file


def write_all(file: int, content: bytes) -> None:
    """A full disk may take a part first, and refuse the rest."""
    written = os.write(file, content)
    while written < len(content):
        written += os.write(file, content[written:])
