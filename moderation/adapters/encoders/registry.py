"""Finds a bundle by name or path, checks every file's digest, and only then loads it."""

from collections.abc import Collection
from importlib.resources import files
from pathlib import Path

from moderation.adapters.encoders.bundle_store import stored_names
from moderation.adapters.encoders.devices import PREFERRED_PRECISIONS, Tuning, parse_devices
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import MANIFEST_NAME, Manifest, ManifestError
from moderation.adapters.encoders.parity import require_parity
from moderation.core.errors import BundleRejected

DEFAULT_TUNING = Tuning()


def bundled_names() -> list[str]:
    """The names of the encoders that come with the package."""
    return sorted(path.parent.name for path in _bundled().glob(f"*/{MANIFEST_NAME}"))


def find_bundle(name_or_path: str, *, store: Path | None = None, device: str = "auto") -> Path:
    """The directory of a bundle; raises BundleRejected with the names that there are.

    A stored model that was made in several precisions is found by its name without one,
    in the precision that suits the device.
    """
    bundled = bundled_names()
    stored = stored_names(store) if store else []
    directory = Path(name_or_path)
    if name_or_path in bundled:
        directory = _bundled() / name_or_path
    elif store and (name := _stored_as(name_or_path, stored, device)):
        directory = store / name
    if (directory / MANIFEST_NAME).is_file():
        return directory
    raise BundleRejected(
        f"{name_or_path}: no bundle has this name, and no {MANIFEST_NAME} is in such a "
        f"directory; known: {', '.join([*bundled, *stored])}"
    )


def load_encoder(
    name_or_path: str,
    *,
    store: Path | None = None,
    device: str = "auto",
    tuning: Tuning = DEFAULT_TUNING,
    allow_unverified: bool = False,
) -> OnnxDualEncoder:
    """Verify and load a bundle; raises BundleRejected.

    `allow_unverified` takes one whose parity report is missing or failing; files that differ
    from their digests are never taken.
    """
    directory = find_bundle(name_or_path, store=store, device=device)
    manifest = _read(directory)
    try:
        manifest.verify_files(directory)
    except ManifestError as error:
        raise BundleRejected(str(error)) from error
    if not allow_unverified:
        require_parity(directory, manifest)
    return OnnxDualEncoder(directory, manifest, devices=device, tuning=tuning)


def find_manifest(name_or_path: str, *, store: Path | None = None, device: str) -> Manifest:
    """What a bundle says of itself, without loading it; raises BundleRejected."""
    return _read(find_bundle(name_or_path, store=store, device=device))


def _stored_as(name: str, stored: Collection[str], device: str) -> str | None:
    precisions = PREFERRED_PRECISIONS[parse_devices(device)[0].kind]
    names = (name, *(f"{name}-{precision}" for precision in precisions))
    return next((one for one in names if one in stored), None)


def _read(directory: Path) -> Manifest:
    try:
        return Manifest.load(directory)
    except ManifestError as error:
        raise BundleRejected(str(error)) from error


def _bundled() -> Path:
    return Path(str(files("moderation") / "bundles"))
