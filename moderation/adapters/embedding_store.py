"""Embeddings of contents on disk by the digests of their bytes, in an SQLite file an encoder.

Several processes may use one directory. What is older than `max_age_s` is not given out any
more, and goes as others come; of what is more than `max_bytes`, the oldest goes. SQLite
overwrites what is removed with zeros (what a file system or a disk keeps of that is beyond a
program's reach). An embedding whose checksum is wrong was never kept.
"""

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from moderation.core.content import Embeddings

SUFFIX = ".embeddings"
PATIENCE_S = 5.0
"""For another process that writes."""
ROOM_SHARE = 0.05
"""Of the file's limit, made at once when it is reached."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (
    digest BLOB PRIMARY KEY, kept_at REAL NOT NULL, checksum INTEGER NOT NULL, rows BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS contents_by_age ON contents (kept_at);
"""


class EmbeddingStore:
    """A context manager, used on one thread at a time.

    Raises OSError if the directory, or a file that is there, cannot be used; what fails later
    is told to `warn` once, and costs time only.
    """

    def __init__(  # noqa: PLR0913 - whose embeddings, its bounds, and who is told
        self,
        directory: Path,
        *,
        encoder_id: str,
        dim: int,
        max_bytes: int,
        max_age_s: float,
        warn: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._dim = dim
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._warn = warn
        self._has_warned = False
        self._clock = clock
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = directory / f"{encoder_id}{SUFFIX}"
        self._path.touch(mode=0o600)
        try:
            self._database = _opened(self._path)
        except sqlite3.Error as error:
            raise OSError(f"{self._path}: {error}; remove the file") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._database.close()

    def recall(self, digest: bytes) -> Embeddings | None:
        """Unit rows float32[frames, dim] of the content with this sha256, if they are there."""
        oldest = self._clock() - self._max_age_s
        try:
            found = self._database.execute(
                "SELECT checksum, rows FROM contents WHERE digest = ? AND kept_at > ?",
                (digest, oldest),
            ).fetchone()
        except sqlite3.Error as error:
            self._tell(error)
            return None
        if found is None or found[0] != zlib.crc32(found[1], zlib.crc32(digest)):
            return None
        return np.frombuffer(found[1], dtype="<f4").reshape(-1, self._dim)

    def keep(self, contents: Sequence[tuple[bytes, Embeddings]]) -> None:
        """Write these, by their sha256, in one transaction; then make room."""
        now = self._clock()
        try:
            with self._database:
                self._database.executemany(
                    "REPLACE INTO contents VALUES (?, ?, ?, ?)",
                    [(digest, now, *_checked(digest, rows)) for digest, rows in contents],
                )
                self._database.execute(
                    "DELETE FROM contents WHERE kept_at <= ?", (now - self._max_age_s,)
                )
            if self._n_bytes() > self._max_bytes:
                self._make_room()
        except sqlite3.Error as error:
            self._tell(error)

    def _make_room(self) -> None:
        (count,) = self._database.execute("SELECT count(*) FROM contents").fetchone()
        fits = self._max_bytes * (1 - ROOM_SHARE) / self._n_bytes()
        too_many = count - int(count * fits)
        with self._database:
            self._database.execute(
                "DELETE FROM contents WHERE digest IN "
                "(SELECT digest FROM contents ORDER BY kept_at LIMIT ?)",
                (too_many,),
            )

    def _n_bytes(self) -> int:
        """Of pages that hold something."""
        pages, free, size = (
            self._database.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def _tell(self, error: sqlite3.Error) -> None:
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"{self._path}: {error}")


def erase_embeddings(directory: Path, digests: Iterable[bytes]) -> int:
    """Overwrite what is kept of these contents; returns how many were there.

    Raises OSError if a file cannot be changed. A server may be using it.
    """
    wanted = [(one,) for one in digests]
    erased = 0
    for path in sorted(directory.glob(f"*{SUFFIX}")):
        try:
            with closing(_opened(path)) as database:
                with database:
                    done = database.executemany("DELETE FROM contents WHERE digest = ?", wanted)
                erased += done.rowcount
                # What was written before is in the log beside the file too, until it is emptied.
                (is_busy, *_) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error as error:
            raise OSError(f"{path}: {error}") from error
        if is_busy:
            raise OSError(f"{path}: a server is writing it just now; run this again")
    return erased


def _opened(path: Path) -> sqlite3.Connection:
    # One thread at a time, and not always the same one.
    database = sqlite3.connect(path, timeout=PATIENCE_S, check_same_thread=False)
    try:
        # Of a new file: a row is 2 or 3 KB, and shall not leave half of its page empty.
        database.execute("PRAGMA page_size = 16384")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")  # what a crash takes is encoded again
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _checked(digest: bytes, rows: Embeddings) -> tuple[int, bytes]:
    content = np.ascontiguousarray(rows, dtype="<f4").tobytes()
    return zlib.crc32(content, zlib.crc32(digest)), content
