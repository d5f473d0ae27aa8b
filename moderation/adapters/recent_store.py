"""The embeddings of recent contents in a ring of records of one size on disk; never an image.

A record has a checksum, so that one torn by a crash is skipped, and the oldest is
overwritten when the ring is full or its time is up. Embeddings are personal data
wherever the pictures are: erasing overwrites the bytes, and the files are their
owner's alone. (What a file system or a disk keeps of overwritten blocks is beyond
a program's reach.)
"""

import fcntl
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus

SUFFIX = ".recent"
HEADER_BYTES = 512
ID_BYTES = 256
"""Of a content id, as it is shown; a longer one is cut, and still found by its digest."""
FORMAT = 1


class RecentUnavailable(OSError):
    """The directory cannot hold recent embeddings, or another process fills it."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a file's records look like; a file of another shape is begun anew."""

    encoder_id: str
    dim: int
    capacity: int

    @property
    def record(self) -> np.dtype[Any]:
        """One frame of one content."""
        return np.dtype(
            [
                ("checksum", "<u4"),
                ("frame", "<u2"),
                ("frames", "<u2"),
                ("number", "<u8"),
                ("written_at", "<f8"),
                ("key", "u1", 32),
                ("content_id", f"S{ID_BYTES}"),
                ("embedding", "<f4", self.dim),
            ]
        )

    def header(self) -> bytes:
        """The first bytes of a file."""
        facts = {"format": FORMAT, "encoder_id": self.encoder_id}
        facts |= {"dim": self.dim, "capacity": self.capacity}
        return json.dumps(facts).encode().ljust(HEADER_BYTES)


class RecentStore:
    """The writing side; a context manager, and the only one of its directory.

    At most `max_frames` frames, none older than `max_age_s`; bound to one encoder,
    whose successor's store removes it. Several processes that keep one service's contents
    are each a `part`, counted from 0, of so many; readers see the parts as one.
    """

    def __init__(  # noqa: PLR0913 - its bounds, each by name, and its part
        self,
        directory: Path,
        *,
        encoder_id: str,
        dim: int,
        max_frames: int,
        max_age_s: float,
        clock: Callable[[], float],
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self._directory = directory
        self._path = _path(directory, encoder_id, part[0])
        self._kept = [_path(directory, encoder_id, one) for one in range(part[1])]
        self._shape = _Shape(encoder_id, dim, max_frames)
        self._max_age_s = max_age_s
        self._clock = clock
        self._file = -1
        self._next = 0
        self._oldest = 0
        self._written_at: NDArray[np.float64] = np.zeros(max_frames)

    def __enter__(self) -> Self:
        """Open or begin the file; raises RecentUnavailable."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._close()
            message = f"{self._directory}: cannot hold recent embeddings: {error.strerror}"
            raise RecentUnavailable(message) from error
        for other in self._directory.glob(f"*{SUFFIX}"):
            if other not in self._kept:
                other.unlink(missing_ok=True)
        self._resume()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._close()

    def append(self, contents: Sequence[tuple[str, Embeddings]]) -> None:
        """Write contents with their frames, over the oldest ones; raises OSError.

        A content with more frames than there is room for is left out.
        """
        for content_id, frames in contents:
            if len(frames) <= self._shape.capacity:
                self._write(content_id, frames)
        self.expire()

    def expire(self) -> None:
        """Overwrite what is too old; raises OSError."""
        limit = self._clock() - self._max_age_s
        self._oldest = max(self._oldest, self._next - self._shape.capacity)
        while self._oldest < self._next:
            slot = self._oldest % self._shape.capacity
            if self._written_at[slot] > limit:
                break
            _blank(self._file, self._shape.record.itemsize, slot)
            self._oldest += 1

    def _write(self, content_id: str, frames: Embeddings) -> None:
        records = np.zeros(len(frames), dtype=self._shape.record)
        records["frame"] = np.arange(len(frames))
        records["frames"] = len(frames)
        records["number"] = self._next + np.arange(len(frames))
        records["written_at"] = now = self._clock()
        records["key"] = np.frombuffer(_key(content_id), dtype=np.uint8)
        records["content_id"] = _shown_id(content_id)
        records["embedding"] = frames
        for record in records:
            record["checksum"] = _checksum(record.tobytes())
            slot = self._next % self._shape.capacity
            os.pwrite(self._file, record.tobytes(), HEADER_BYTES + slot * records.itemsize)
            self._written_at[slot] = now
            self._next += 1

    def _resume(self) -> None:
        if os.pread(self._file, HEADER_BYTES, 0) != self._shape.header():
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, self._shape.header(), 0)
        records, slots = _sound_records(self._file, self._shape)
        if len(records):
            self._next = int(records["number"].max()) + 1
            self._oldest = int(records["number"].min())
            self._written_at[slots] = records["written_at"]
        self.expire()

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def read_recent(
    directory: Path, *, encoder_id: str, max_age_s: float = np.inf, now: float = 0.0
) -> Corpus:
    """Every whole content, the oldest first; may be called while a server writes.

    Raises RecentUnavailable if there is nothing of this encoder's.
    """
    first = _path(directory, encoder_id)
    parts = sorted(directory.glob(f"{first.stem}-*{SUFFIX}"))
    dim, contents = _contents_of(first, now - max_age_s)
    if parts:
        contents += [one for part in parts for one in _contents_of(part, now - max_age_s)[1]]
        contents.sort(key=lambda whole: float(whole["written_at"][0]))
    named = [(_text_id(whole[0]), whole["embedding"]) for whole in contents]
    return Corpus.from_contents(named, dim=dim)


def _contents_of(path: Path, since: float) -> tuple[int, list[NDArray[Any]]]:
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError as error:
        message = f"{path.parent}: holds no recent embeddings of this encoder ({error.strerror})"
        raise RecentUnavailable(message) from error
    try:
        shape = _shape_of(file, path)
        records, _ = _sound_records(file, shape)
    finally:
        os.close(file)
    return shape.dim, list(_whole_contents(records[records["written_at"] > since]))


def erase_recent(directory: Path, content_id: str, *, is_prefix: bool = False) -> int:
    """Overwrite every frame of a content, in all files there; how many there were.

    With `is_prefix`, of all contents whose ids begin so. May be called while a server writes.
    """
    erased = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        file = os.open(path, os.O_RDWR)
        try:
            shape = _shape_of(file, path)
            records = _records(file, shape)
            for slot in _slots_of(records, content_id, is_prefix=is_prefix):
                _blank(file, shape.record.itemsize, int(slot))
                erased += 1
            os.fsync(file)
        finally:
            os.close(file)
    return erased


def _slots_of(records: NDArray[Any], content_id: str, *, is_prefix: bool) -> NDArray[np.intp]:
    if is_prefix:
        return np.flatnonzero(np.strings.startswith(records["content_id"], _shown_id(content_id)))
    key = np.frombuffer(_key(content_id), dtype=np.uint8)
    return np.flatnonzero((records["key"] == key).all(axis=1))


def _path(directory: Path, encoder_id: str, part: int = 0) -> Path:
    stem = hashlib.sha256(encoder_id.encode()).hexdigest()[:32]
    return directory / f"{stem}{f'-{part}' if part else ''}{SUFFIX}"


def _shape_of(file: int, path: Path) -> _Shape:
    try:
        facts = json.loads(os.pread(file, HEADER_BYTES, 0))
        return _Shape(str(facts["encoder_id"]), int(facts["dim"]), int(facts["capacity"]))
    except (ValueError, KeyError, TypeError) as error:
        raise RecentUnavailable(f"{path}: is no file of recent embeddings") from error


def _records(file: int, shape: _Shape) -> NDArray[Any]:
    size = shape.record.itemsize
    content = _read_all(file, HEADER_BYTES, shape.capacity * size)
    return np.frombuffer(content[: len(content) // size * size], dtype=shape.record)


def _read_all(file: int, offset: int, size: int) -> bytes:
    pieces = []
    while size > 0 and (piece := os.pread(file, size, offset)):
        pieces.append(piece)
        offset, size = offset + len(piece), size - len(piece)
    return b"".join(pieces)


def _sound_records(file: int, shape: _Shape) -> tuple[NDArray[Any], NDArray[np.intp]]:
    """The records that are whole, and their slots."""
    records = _records(file, shape)
    filled = np.flatnonzero(records["checksum"])
    sound = [slot for slot in filled if _is_sound(records[slot])]
    slots = np.array(sound, dtype=np.intp)
    return records[slots], slots


def _is_sound(record: np.void) -> bool:
    return bool(record["checksum"] == _checksum(record.tobytes()))


def _checksum(record: bytes) -> int:
    # 0 is left to slots that were never filled, or erased.
    return zlib.crc32(record[4:]) or 1


def _whole_contents(records: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """The frames of each content that are all there."""
    ordered = records[np.argsort(records["number"])]
    first_number = ordered["number"] - ordered["frame"]
    bounds = np.flatnonzero(np.diff(first_number)) + 1
    parts: Iterable[NDArray[Any]] = np.split(ordered, bounds)
    for part in parts:
        if len(part) and len(part) == part["frames"][0]:
            yield part


def _blank(file: int, size: int, slot: int) -> None:
    os.pwrite(file, bytes(size), HEADER_BYTES + slot * size)


def _key(content_id: str) -> bytes:
    return hashlib.sha256(content_id.encode()).digest()


def _shown_id(content_id: str) -> bytes:
    return content_id.encode()[:ID_BYTES]


def _text_id(record: np.void) -> str:
    return bytes(record["content_id"]).decode(errors="ignore")
