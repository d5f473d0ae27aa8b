"""Embeddings of contents on disk by the digests of their bytes, in an SQLite file an encoder.

Several processes may use one directory. What is older than `max_age_s` is not given out any
more, and is removed by `purge`, whichever encoder it was by; of what is more than `max_bytes`,
the oldest goes. All is removed in slices, so that nobody has to wait for long. SQLite
overwrites what is removed with zeros (what a file system or a disk keeps of that is beyond a
program's reach). An embedding whose checksum is wrong was never kept. A file that is damaged
is removed: all of it can be computed again, but it could neither be erased nor grow too old.
"""

import fcntl
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from moderation.core.content import Embeddings

SUFFIX = ".embeddings"
BESIDE = ("", "-wal", "-shm")
"""What SQLite adds to the names of the files that make up one."""
PATIENCE_S = 5.0
"""Of a start or an eraser, for another process that writes."""
WRITING_PATIENCE_S = 1.0
READING_PATIENCE_S = 0.05
"""About what it takes to encode a picture."""
BUSY_PAUSE_S = 0.02
SLICE = 500
"""Contents removed at once."""
SLICE_PAGES = 64
"""Given back to the file system at once."""
ROOM_SHARE = 0.05
"""Of the file's limit, made when it is reached."""
LOG_PAGES = 256
"""So many that were written go from the log beside the file into it."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (
    digest BLOB PRIMARY KEY, kept_at REAL NOT NULL, checksum INTEGER NOT NULL, rows BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS contents_by_age ON contents (kept_at);
"""
Failure = sqlite3.Error | UnicodeDecodeError
FAILURES = (sqlite3.Error, UnicodeDecodeError)
"""The second where a message quotes from a damaged file."""
DAMAGE = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
)


class EmbeddingStore:
    """A context manager; `recall` on one thread at a time, and all else on another one.

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
        try:
            self._writing = _sound(self._path, warn)
            self._reading = _opened(self._path, READING_PATIENCE_S)
        except FAILURES as error:
            raise OSError(f"{self._path}: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._reading.close()
        self._writing.close()

    def recall(self, digest: bytes) -> Embeddings | None:
        """Unit rows float32[frames, dim] of the content with this sha256, if they are there."""
        oldest = self._clock() - self._max_age_s
        try:
            found = self._reading.execute(
                "SELECT checksum, CAST(rows AS BLOB) FROM contents "
                "WHERE digest = ? AND kept_at > ?",
                (digest, oldest),
            ).fetchone()
        except FAILURES as error:
            self._tell(error)
            return None
        if found is None or not found[1] or found[0] != _checksum(digest, found[1]):
            return None
        return np.frombuffer(found[1], dtype="<f4").reshape(-1, self._dim)

    def keep(self, contents: Sequence[tuple[bytes, Embeddings]]) -> None:
        """Write these, by their sha256, in one transaction; then make room."""
        now = self._clock()
        try:
            with self._writing as database:
                database.executemany(
                    "REPLACE INTO contents VALUES (?, ?, ?, ?)",
                    [(digest, now, *_checked(digest, rows)) for digest, rows in contents],
                )
            if _n_bytes(database) > self._max_bytes:
                while _make_room(database, self._max_bytes):
                    pass
        except FAILURES as error:
            self._tell(error)

    def purge(self) -> bool:
        """Remove a slice of what is too old or too much; whether there may be more of it."""
        return any(map(self._purge, sorted(self._path.parent.glob(f"*{SUFFIX}"))))

    def _purge(self, path: Path) -> bool:
        oldest = self._clock() - self._max_age_s
        try:
            if path == self._path:
                return _purge(self._writing, oldest, self._max_bytes)
            with closing(_sound(path, self._warn)) as database:
                return _purge(database, oldest, self._max_bytes)
        except (OSError, *FAILURES) as error:  # of a file that may be another user's
            self._tell(error)
            return False

    def _tell(self, error: Exception) -> None:
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
            with closing(_opened(path, PATIENCE_S)) as database:
                with database:
                    done = database.executemany("DELETE FROM contents WHERE digest = ?", wanted)
                erased += done.rowcount
                # What was written before is in the log beside the file too, until it is emptied.
                (is_busy, *_) = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except FAILURES as error:
            raise OSError(f"{path}: {error}") from error
        if is_busy:
            raise OSError(f"{path}: a server is writing it just now; run this again")
    return erased


def _purge(database: sqlite3.Connection, oldest: float, max_bytes: int) -> bool:
    too_old = "SELECT digest FROM contents WHERE kept_at <= ? LIMIT ?"
    if _remove(database, too_old, oldest, SLICE):
        return True
    used, whole = _n_bytes(database), _n_bytes(database, counts_free=True)
    if used > max_bytes:
        return _make_room(database, max_bytes)
    if whole > max_bytes or whole - used > 2 * ROOM_SHARE * max_bytes:
        return _give_back(database)
    # What was removed is in the log beside the file too, until that is emptied: now or next time.
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return False


def _make_room(database: sqlite3.Connection, max_bytes: int) -> bool:
    """Remove a slice of the oldest, unless there is room; whether anything went."""
    too_many = _n_bytes(database) - max_bytes * (1 - ROOM_SHARE)
    oldest = "SELECT length(rows) AS n_bytes FROM contents ORDER BY kept_at LIMIT ?"
    (longest,) = database.execute(f"SELECT max(n_bytes) FROM ({oldest})", (SLICE,)).fetchone()
    if too_many <= 0 or not longest:
        return False
    few = min(SLICE, int(too_many / longest) + 1)
    return _remove(database, "SELECT digest FROM contents ORDER BY kept_at LIMIT ?", few)


def _remove(database: sqlite3.Connection, which: str, *parameters: float) -> bool:
    """Whether there were any."""
    with database:
        done = database.execute(f"DELETE FROM contents WHERE digest IN ({which})", parameters)
    return done.rowcount > 0


def _give_back(database: sqlite3.Connection) -> bool:
    """Give some free pages back; whether any went."""
    before = _n_bytes(database, counts_free=True)
    # As a script, which is stepped to its end; one `execute` gives back one page.
    database.executescript(f"PRAGMA incremental_vacuum({SLICE_PAGES})")
    return _n_bytes(database, counts_free=True) < before


def _n_bytes(database: sqlite3.Connection, *, counts_free: bool = False) -> int:
    """Of pages that hold something, or of all."""
    pages, free, size = (
        database.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages if counts_free else pages - free) * size)


def _sound(path: Path, warn: Callable[[str], None]) -> sqlite3.Connection:
    """The file, to write to; begun anew if it was damaged."""
    with _alone(path.parent):
        path.touch(mode=0o600)
        try:
            return _opened(path, WRITING_PATIENCE_S)
        except FAILURES as error:
            if not _is_damage(error):
                raise
            warn(f"{path}: {error}; it was removed, and a new one begun")
        for suffix in BESIDE:
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        path.touch(mode=0o600)
        return _opened(path, WRITING_PATIENCE_S)


def _is_damage(error: Failure) -> bool:
    return isinstance(error, UnicodeDecodeError) or _code(error) in DAMAGE


def _code(error: sqlite3.Error) -> int:
    # What the module raises by itself has none; it tells what it cannot read.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other processes from beginning a file there meanwhile, or from removing it."""
    number = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _opened(path: Path, patience_s: float) -> sqlite3.Connection:
    """The file, of whose transactions each waits for so long for those of others."""
    until = time.monotonic() + PATIENCE_S
    while True:  # SQLite does not wait where another process begins or ends to use the file
        try:
            return _opened_once(path, patience_s)
        except sqlite3.OperationalError as error:
            if _code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
        time.sleep(BUSY_PAUSE_S)


def _opened_once(path: Path, patience_s: float) -> sqlite3.Connection:
    # One thread at a time, and not always the same one.
    database = sqlite3.connect(path, timeout=patience_s, check_same_thread=False)
    try:
        (pages,) = database.execute("PRAGMA page_count").fetchone()
        if not pages:  # a row is 2 or 3 KB, and shall not leave half of its page empty
            database.execute("PRAGMA page_size = 16384")
            database.execute("PRAGMA auto_vacuum = INCREMENTAL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA journal_size_limit = 0")
        database.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        database.execute("PRAGMA synchronous = NORMAL")  # what a crash takes is encoded again
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(SCHEMA)
    except BaseException:
        database.close()
        raise
    return database


def _checked(digest: bytes, rows: Embeddings) -> tuple[int, bytes]:
    content = np.ascontiguousarray(rows, dtype="<f4").tobytes()
    return _checksum(digest, content), content


def _checksum(digest: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(digest))
