"""Packages of policies that a command line names in place of a directory."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.cli.exits import CommandError, Exit
from moderation.core.errors import PolicySetRejected
from moderation.settings import Settings

if TYPE_CHECKING:
    from moderation.adapters.policy_package import Carrier
    from moderation.adapters.policy_package.sealing import Verified

SUFFIXES = (".tar.gz", ".tgz")


def is_package(path: Path) -> bool:
    """Whether a file is named as a package is."""
    return path.name.lower().endswith(SUFFIXES) and path.is_file()


def files_of(
    package: "Carrier", keys: Sequence[Path]
) -> tuple[Mapping[str, bytes], "Verified | None"]:
    """What is in a package, by name, and who signed it, if keys are given.

    Raises PolicySetRejected.
    """
    from moderation.adapters.policy_package import (
        SIGNATURE_SUFFIX,
        read_public_keys,
        require_stated,
        unpack,
        verify,
    )
    from moderation.adapters.policy_package.limits import MAX_ARCHIVE_BYTES

    if not keys:
        return unpack(package.archive(MAX_ARCHIVE_BYTES), package.shown), None
    shown = package.shown + SIGNATURE_SUFFIX
    verified = verify(package.signature(), read_public_keys(keys), shown)
    archive = package.archive(verified.statement.n_bytes)
    require_stated(archive, verified.statement, package.shown)
    return unpack(archive, package.shown), verified


@contextmanager
def unpacked(path: Path, settings: Settings) -> Iterator[Path]:
    """A directory with a package's files; raises CommandError.

    Its signature is checked if the settings name public keys: a command only shows what it says.
    """
    from moderation.adapters.policy_package import FilePackage

    try:
        with unpacked_from(FilePackage(path), settings) as directory:
            yield directory
    except PolicySetRejected as rejected:
        raise CommandError(str(rejected), Exit.CONFIG) from rejected


@contextmanager
def unpacked_from(package: "Carrier", settings: Settings) -> Iterator[Path]:
    """A directory with a package's files; raises PolicySetRejected or CommandError."""
    from moderation.adapters.policy_package import write_files

    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "policies"
        files, _ = files_of(package, settings.package.key_files)
        try:
            write_files(directory, files)
        except OSError as error:
            message = f"{package.shown}: cannot be unpacked: {error.strerror}"
            raise CommandError(message, Exit.SOFTWARE) from error
        yield directory


@contextmanager
def policies_unpacked(settings: Settings) -> Iterator[Settings]:
    """The same settings, for a directory of files where policies.directory is a package."""
    policies = settings.policies
    if not is_package(policies.directory):
        yield settings
        return
    with unpacked(policies.directory, settings) as directory:
        changed = policies.model_copy(update={"directory": directory})
        yield settings.model_copy(update={"policies": changed})
