"""Where the service writes: whether it can, whether it reaches the disk, and whether there is room.

Nothing is created but one empty file, which is gone when the check has ended.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.settings import Settings

SMALL_BYTES = 64 * 2**20
"""Room for what stays small: policy sets, pairs of scores, engines."""
FRAME_BYTES = 2048
UNLIMITED_LOG_BYTES = 2**30
CURE = "let it belong to the user that runs the service, and let it be writable"
MAKE_ROOM = "make room, or lower the settings beside it that limit its size"
CURE_BY_ERROR: Mapping[int | None, str] = {
    errno.ENOSPC: MAKE_ROOM,
    errno.EDQUOT: MAKE_ROOM,
    errno.EFBIG: "allow the user that runs the service longer files (`ulimit -f`)",
    errno.EROFS: "mount it so that it can be written, or choose another path",
}


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory by the setting that names it, and how large it may become."""

    setting: str
    path: Path
    may_take_bytes: int

    @property
    def where(self) -> str:
        """For people."""
        return f"{self.setting} {self.path}"


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    if not settings.package.source:
        yield _policies(settings)
    for directory in _written(settings):
        yield _writable(directory)


def _policies(settings: Settings) -> Finding:
    where = f"policies.directory {settings.policies.directory}"
    try:
        files = len(list(settings.policies.directory.iterdir()))
    except OSError as error:
        cure = "set policies.directory to where the policy files are"
        return broken(f"cannot be read: {error.strerror}", where, cure)
    return good(f"can be read, {files} files", where)


def _written(settings: Settings) -> Iterator[Directory]:
    policies, recent, log = settings.policies, settings.recent, settings.decision_log
    yield Directory("policies.state_directory", policies.state_directory, SMALL_BYTES)
    if policies.cache_max_bytes:
        yield Directory(
            "policies.cache_directory", policies.cache_directory, policies.cache_max_bytes
        )
    if settings.cache.directory:
        directory = Path(settings.cache.directory)
        yield Directory("cache.directory", directory, settings.cache.max_disk_bytes)
    if recent.enabled:
        yield Directory("recent.directory", recent.directory, recent.max_frames * FRAME_BYTES)
    if settings.shadow_encoder.bundle:
        yield Directory("shadow_encoder.directory", settings.shadow_encoder.directory, SMALL_BYTES)
    if log.directory:
        most = log.max_bytes or UNLIMITED_LOG_BYTES
        yield Directory("decision_log.directory", Path(log.directory), most)


def _writable(directory: Directory) -> Finding:
    place = directory.path.absolute()
    while not os.path.lexists(place):  # it will be created at the start
        place = place.parent
    if not place.is_dir():
        return broken(f"{place} is no directory", directory.where, "choose another path")
    try:
        free = shutil.disk_usage(place).free
        _write(place)
    except OSError as error:
        cure = CURE_BY_ERROR.get(error.errno, CURE)
        return broken(f"cannot be written: {error.strerror}", directory.where, cure)
    wanted = directory.may_take_bytes - _taken(directory.path)
    if free < wanted:
        return doubtful(
            f"{_mb(free)} are free, and it may grow by {_mb(wanted)}",
            directory.where,
            MAKE_ROOM,
        )
    return good(f"can be written, reaches the disk, {_mb(free)} are free", directory.where)


def _write(place: Path) -> None:
    with tempfile.TemporaryFile(dir=place) as file:
        file.write(b"moderation doctor")
        file.flush()
        os.fsync(file.fileno())


def _taken(directory: Path) -> int:
    files = (Path(folder, name) for folder, _, names in os.walk(directory) for name in names)
    return sum(file.lstat().st_size for file in files if os.path.lexists(file))


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:,.0f} MB"
