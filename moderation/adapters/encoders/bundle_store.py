"""The user's own bundles by name, a directory each: put there whole and verified, or not at all."""

import lzma
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moderation.adapters.encoders.manifest import MANIFEST_NAME, Manifest, ManifestError
from moderation.core.errors import BundleRejected

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz")
UNPACKING_ERRORS = (
    OSError,
    EOFError,
    tarfile.TarError,
    shutil.ReadError,
    zlib.error,
    lzma.LZMAError,
)


def stored_names(store: Path) -> list[str]:
    """The names of the bundles in a store; none if there is no store."""
    if not store.is_dir():
        return []
    found = (one.name for one in store.iterdir() if (one / MANIFEST_NAME).is_file())
    return sorted(name for name in found if NAME.fullmatch(name))


def add_bundle(source: Path, store: Path, *, name: str | None = None) -> Path:
    """Copy a bundle's directory or archive into the store; raises BundleRejected.

    Only what the manifest names is kept, and only if every digest is right.
    """
    with _opened(source) as directory, place_for(store) as place:
        try:
            manifest = Manifest.load(directory)
            manifest.verify_files(directory)
        except ManifestError as error:
            raise BundleRejected(str(error)) from error
        for file in (MANIFEST_NAME, *manifest.files):
            shutil.copyfile(directory / file, place / file)
        return keep(place, store, name or manifest.name)


@contextmanager
def place_for(store: Path) -> Iterator[Path]:
    """A directory beside those of the store, in which a bundle can be made ready; then removed."""
    store.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=store, prefix=".") as scratch:
        place = Path(scratch) / "bundle"
        place.mkdir()
        yield place


def keep(made: Path, store: Path, name: str) -> Path:
    """Give a finished bundle its name; raises BundleRejected if that is taken or is no name."""
    kept = _place_of(name, store)
    if kept.exists():
        raise BundleRejected(
            f"{kept}: there is a bundle of this name; choose another with --name, or remove it "
            f"first with `moderation bundle remove {name}`"
        )
    return made.rename(kept)


def remove_bundle(name: str, store: Path) -> Path:
    """Delete a bundle from the store; raises BundleRejected if it holds none of this name."""
    directory = _place_of(name, store)
    if not (directory / MANIFEST_NAME).is_file():
        known = ", ".join(stored_names(store)) or "none"
        raise BundleRejected(f"{name}: the store has no bundle of this name; it has: {known}")
    # What is half removed must not be found any more.
    (directory / MANIFEST_NAME).unlink()
    shutil.rmtree(directory)
    return directory


def _place_of(name: str, store: Path) -> Path:
    if not NAME.fullmatch(name):
        raise BundleRejected(
            f"{name!r}: a bundle's name has letters, digits, dots, dashes and underscores; "
            "choose one with --name"
        )
    return store / name


@contextmanager
def _opened(source: Path) -> Iterator[Path]:
    if not source.is_file():
        yield source
        return
    if not source.name.endswith(ARCHIVES):
        raise BundleRejected(f"{source}: an archive must end in {', '.join(ARCHIVES)}")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            shutil.unpack_archive(source, scratch, filter="data")
        except UNPACKING_ERRORS as error:
            raise BundleRejected(f"{source}: cannot be unpacked: {error}") from error
        yield _bundle_in(Path(scratch), source)


def _bundle_in(unpacked: Path, source: Path) -> Path:
    """The bundle may lie in the archive's root, or in its one directory."""
    found = [one.parent for one in (unpacked / MANIFEST_NAME, *unpacked.glob(f"*/{MANIFEST_NAME}"))]
    found = [directory for directory in found if (directory / MANIFEST_NAME).is_file()]
    if len(found) != 1:
        raise BundleRejected(f"{source}: holds {len(found)} bundles instead of one")
    return found[0]
