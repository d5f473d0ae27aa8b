"""Embeddings of the policies' texts on disk, so that no start has to compute them again.

One file an encoder: records of a text's digest, its vector, and a checksum of both,
added at the end. Several processes may use one directory: who adds holds a lock, and
who reads trusts no record that does not prove itself. So a file that was cut short,
overwritten, or begun anew meanwhile costs time, and never a wrong vector.
"""

import fcntl
import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embedding, Embeddings
from moderation.service.ports import TextEncoder

KEY_BYTES = 16
SUFFIX = ".texts"
LOCK_SUFFIX = ".lock"
LOOK_EVERY_S = 0.02
RECORDS_AT_ONCE = 4096
"""That are read at most. For their keys, the vectors stay on disk until they are asked for."""

_Records = NDArray[np.void]


def ignored(_reason: str) -> None:
    """What cannot be kept costs a command time, and nothing else."""


class CachedTexts:
    """A TextEncoder that asks another one only for what is not on disk yet.

    `encoder` is called when it is first needed. A fuller file than `max_bytes` is begun
    anew. A directory that cannot be used is told to `warn` once, and costs time. Several
    processes that want the same texts at the same time wait up to `wait_s` for the first of
    them to compute these.
    """

    def __init__(  # noqa: PLR0913 - what it keeps where, and two that may be missing
        self,
        directory: Path,
        *,
        encoder_id: str,
        dim: int,
        encoder: Callable[[], TextEncoder],
        max_bytes: int,
        warn: Callable[[str], None] = ignored,
        wait_s: float = 0.0,
    ) -> None:
        self._path = directory / f"{encoder_id}{SUFFIX}"
        self._record = np.dtype(
            [("key", f"V{KEY_BYTES}"), ("embedding", "<f4", dim), ("check", "<u4")]
        )
        self._encoder = encoder
        self._max_bytes = max_bytes
        self._warn = warn
        self._has_warned = False
        self._wait_s = wait_s
        self._number_by_key: dict[bytes, int] = {}
        self._indexed = 0
        """Records whose keys are known."""

    def recall(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """See TextMemory: those that are on disk."""
        key_by_text = {text: _key(text) for text in texts}
        row_by_key = self._stored(list(key_by_text.values()))
        return {text: row_by_key[key] for text, key in key_by_text.items() if key in row_by_key}

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder."""
        keys = [_key(text) for text in texts]
        row_by_key = self._stored(keys)
        if len(row_by_key) < len(set(keys)):
            with self._one_computes():
                row_by_key = self._completed(keys, texts)
        return np.stack([row_by_key[key] for key in keys])

    def _completed(self, keys: Sequence[bytes], texts: Sequence[str]) -> dict[bytes, Embedding]:
        row_by_key = self._stored(keys)
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in row_by_key
        }
        if missing:
            rows = self._encoder().encode_texts(list(missing.values()))
            row_by_key.update(zip(missing, rows, strict=True))
            self._append(list(missing), rows)
        return row_by_key

    @contextmanager
    def _one_computes(self) -> Iterator[None]:
        """Wait, but not for ever, while another process computes what is probably the same."""
        if not self._wait_s:
            yield
            return
        with ExitStack() as stack:
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                lock = stack.enter_context(self._path.with_suffix(LOCK_SUFFIX).open("ab"))
                _lock_within(lock, self._wait_s)
            except OSError:
                """Computing it twice costs time, and nothing else."""
            yield

    def _stored(self, keys: Sequence[bytes]) -> dict[bytes, Embedding]:
        """Those that are on disk, each checked."""
        try:
            with self._path.open("rb", buffering=0) as file:
                self._index(file)
                known = self._number_by_key
                key_by_number = {known[key]: key for key in keys if key in known}
                return dict(self._rows(file, key_by_number))
        except FileNotFoundError:
            return {}
        except OSError as error:
            self._tell(error)
            return {}

    def _rows(
        self, file: BinaryIO, key_by_number: Mapping[int, bytes]
    ) -> Iterator[tuple[bytes, Embedding]]:
        """Vectors of records that prove themselves; neighbours are read at once."""
        size = self._record.itemsize
        for first, stop in _runs(sorted(key_by_number)):
            content = os.pread(file.fileno(), (stop - first) * size, first * size)
            whole = content[: len(content) // size * size]
            records = np.frombuffer(whole, dtype=self._record)
            vectors, checks = records["embedding"].copy(), records["check"].tolist()
            bounds = range(0, len(whole), size)
            for row, (start, check) in enumerate(zip(bounds, checks, strict=True)):
                key = key_by_number[first + row]
                is_right = whole[start : start + KEY_BYTES] == key
                if is_right and check == _check(memoryview(whole)[start : start + size]):
                    yield key, vectors[row]

    def _index(self, file: BinaryIO) -> None:
        """Learn the keys of what was added since, by whomever."""
        size = self._record.itemsize
        there = os.fstat(file.fileno()).st_size // size
        if there < self._indexed:  # begun anew
            self._number_by_key, self._indexed = {}, 0
        while self._indexed < there:
            wanted = min(RECORDS_AT_ONCE, there - self._indexed) * size
            content = os.pread(file.fileno(), wanted, self._indexed * size)
            records = np.frombuffer(content[: len(content) // size * size], dtype=self._record)
            if not len(records):
                return
            self._learn(records["key"])

    def _learn(self, keys: Any) -> None:  # noqa: ANN401 - numpy has no name for an array of bytes
        for number, key in enumerate(map(bytes, keys), start=self._indexed):
            self._number_by_key[key] = number
        self._indexed += len(keys)

    def _append(self, keys: Sequence[bytes], rows: Embeddings) -> None:
        size = self._record.itemsize
        records = self._records(keys, rows)
        if records.nbytes > self._max_bytes:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # two processes must not mix records
                whole = file.seek(0, os.SEEK_END) // size * size
                is_full = whole + records.nbytes > self._max_bytes
                file.truncate(0 if is_full else whole)
                file.write(records.tobytes())
        except OSError as error:
            self._tell(error)

    def _records(self, keys: Sequence[bytes], rows: Embeddings) -> _Records:
        records = np.zeros(len(keys), dtype=self._record)
        records["key"] = np.array(keys, dtype=f"V{KEY_BYTES}")
        records["embedding"] = rows
        records["check"] = [_check(record.tobytes()) for record in records]
        return records

    def _tell(self, error: OSError) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"{self._path.parent}: {error.strerror or type(error).__name__}")


def _lock_within(file: IO[bytes], seconds: float) -> None:
    """Raises BlockingIOError if another process keeps the lock for longer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(LOOK_EVERY_S)
        else:
            return


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Bounds of numbers that follow one another, at most RECORDS_AT_ONCE together."""
    breaks = np.flatnonzero(np.diff(numbers) != 1) + 1
    for some in np.split(np.asarray(numbers, dtype=np.int64), breaks):
        for start in range(0, len(some), RECORDS_AT_ONCE):
            part = some[start : start + RECORDS_AT_ONCE]
            yield int(part[0]), int(part[-1]) + 1


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:KEY_BYTES]


def _check(record: bytes | memoryview) -> int:
    """Checksum of a record less its last field, which is for it."""
    return zlib.crc32(record[:-4])
