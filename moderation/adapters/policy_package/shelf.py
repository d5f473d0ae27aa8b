"""Where packages are unpacked: one folder each, and a link to the one that counts.

The folders are called by their packages' serials, which is how it is remembered that a package is
older than one that was here. Several processes may use one shelf.
"""

import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from moderation.adapters.policy_package.sealing import Statement

CURRENT = "current"
POLICIES = "policies"
SHOWN_DIGITS = 16
MOST_KEPT = 3
"""A process may still be reading what another one has just replaced."""

_FOLDER = re.compile(rf"(\d{{20}})-([0-9a-f]{{{SHOWN_DIGITS}}})")


@dataclass(frozen=True, slots=True, order=True)
class Shelved:
    """A package by what its folder says of it."""

    serial: int
    digest: str
    """The first digits."""


class PackageShelf:
    """One directory, which is made when there is something to put there; its owner's alone."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self.policies = self._directory / CURRENT / POLICIES
        """Where the files of the current package are, whichever that is."""

    def newest(self) -> Shelved | None:
        """The package of the highest serial that was ever here."""
        return max(self._shelved(), default=None)

    def put(self, statement: Statement, content_by_name: Mapping[str, bytes]) -> None:
        """Unpack a package and make it the current one, unless a newer one is; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        shelved = shelved_as(statement)
        self._unpack(self._directory / _folder_of(shelved), content_by_name)
        if self.newest() == shelved:
            self._point_to(_folder_of(shelved))
        self._tidy()

    def _unpack(self, folder: Path, content_by_name: Mapping[str, bytes]) -> None:
        if _holds(folder / POLICIES, content_by_name):
            return
        scratch = Path(mkdtemp(dir=self._directory, prefix=".new-"))
        try:
            write_files(scratch / POLICIES, content_by_name)
            with suppress(OSError):  # where there is something already
                scratch.rename(folder)
            if not _holds(folder / POLICIES, content_by_name):
                # Spoiled by a crash or a hand; what another process has just put there is not.
                shutil.rmtree(folder, ignore_errors=True)
                scratch.rename(folder)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _point_to(self, name: str) -> None:
        # A name of its own, so that two processes do not make one link at the same time.
        scratch = Path(mkdtemp(dir=self._directory, prefix=".link-"))
        link = scratch / CURRENT
        link.symlink_to(name)
        link.replace(self._directory / CURRENT)
        scratch.rmdir()

    def _tidy(self) -> None:
        for one in sorted(self._shelved())[:-MOST_KEPT]:
            shutil.rmtree(self._directory / _folder_of(one), ignore_errors=True)

    def _shelved(self) -> list[Shelved]:
        try:
            names = os.listdir(self._directory)
        except OSError:
            return []
        found = (_FOLDER.fullmatch(name) for name in names)
        return [Shelved(int(one[1]), one[2]) for one in found if one]


def shelved_as(statement: Statement) -> Shelved:
    """How a package is remembered."""
    return Shelved(statement.serial, statement.sha256[:SHOWN_DIGITS])


def write_files(directory: Path, content_by_name: Mapping[str, bytes]) -> None:
    """Put a package's files below a directory that does not exist yet; raises OSError."""
    directory.mkdir(mode=0o700)
    for name, content in content_by_name.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_bytes(content)


def _folder_of(shelved: Shelved) -> str:
    return f"{shelved.serial:020d}-{shelved.digest}"


def _holds(directory: Path, content_by_name: Mapping[str, bytes]) -> bool:
    """Whether exactly these files are there, as they should be."""
    found = {
        Path(folder, name).relative_to(directory).as_posix()
        for folder, _, names in os.walk(directory)
        for name in names
    }
    if found != content_by_name.keys():
        return False
    return all((directory / name).read_bytes() == one for name, one in content_by_name.items())
