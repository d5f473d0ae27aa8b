"""A package in a file, with its signature beside it."""

from pathlib import Path

from moderation.adapters.policy_package.limits import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_SUFFIX,
    USUAL_NAME,
)
from moderation.adapters.policy_package.refusal import refused


def package_in(named: Path) -> Path:
    """The archive that is meant: the file, or the one of the usual name in a folder."""
    return named / USUAL_NAME if named.is_dir() else named


class FilePackage:
    """A Carrier of a package that somebody puts there, as a file or in a mounted folder."""

    is_remote = False

    def __init__(self, named: Path) -> None:
        self.path = package_in(named)
        self.shown = self.path.name
        self.paths = (self.path, self.path.with_name(self.shown + SIGNATURE_SUFFIX))
        """Of the archive and of its signature."""

    def signature(self) -> bytes:
        """See Carrier."""
        path = self.paths[1]
        try:
            return _content(path, MAX_SIGNATURE_BYTES)
        except FileNotFoundError as error:
            if self.path.exists():
                message = f"is not signed: there is no {path.name} beside it"
                raise refused(self.shown, f"{message}; see `moderation policy pack`") from error
            raise refused(self.shown, f"there is no such file in {self.path.parent}") from error
        except OSError as error:
            raise refused(path.name, f"cannot be read: {error.strerror}") from error

    def archive(self, n_bytes: int) -> bytes:
        """See Carrier."""
        try:
            return _content(self.path, n_bytes)
        except OSError as error:
            raise refused(self.shown, f"cannot be read: {error.strerror}") from error


def _content(path: Path, most: int) -> bytes:
    """One byte more than `most`, if there are as many: it is told that way."""
    with open(path, "rb") as file:
        return file.read(most + 1)
