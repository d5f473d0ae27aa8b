"""Finds a bundle by name or path, checks every file's digest, and only then loads it."""

from importlib.resources import files
from pathlib import Path

from moderation.adapters.encoders.description import TokenLimit, info_of
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import MANIFEST_NAME, Manifest, ManifestError
from moderation.adapters.encoders.onnx_session import Device
from moderation.adapters.encoders.parity import require_parity
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import BundleRejected


def bundled_names() -> list[str]:
    """The names of the encoders that come with the package."""
    return sorted(path.parent.name for path in _bundled().glob(f"*/{MANIFEST_NAME}"))


def find_bundle(name_or_path: str) -> Path:
    """The directory of a bundle; raises BundleRejected with the names that there are."""
    known = bundled_names()
    directory = _bundled() / name_or_path if name_or_path in known else Path(name_or_path)
    if (directory / MANIFEST_NAME).is_file():
        return directory
    raise BundleRejected(
        f"{name_or_path}: no bundle has this name, and no {MANIFEST_NAME} is in such a "
        f"directory; bundled: {', '.join(known)}"
    )


def load_encoder(
    name_or_path: str, *, device: Device, threads: int, allow_unverified: bool = False
) -> OnnxDualEncoder:
    """Verify and load a bundle; raises BundleRejected.

    `allow_unverified` takes one whose parity report is missing or failing; files that differ
    from their digests are never taken.
    """
    directory = find_bundle(name_or_path)
    try:
        manifest = Manifest.load(directory)
        manifest.verify_files(directory)
    except ManifestError as error:
        raise BundleRejected(str(error)) from error
    if not allow_unverified:
        require_parity(directory, manifest)
    return OnnxDualEncoder(directory, manifest, device=device, threads=threads)


def describe_encoder(name_or_path: str) -> tuple[EncoderInfo, TokenLimit]:
    """What a bundle says of its encoder, nothing verified and nothing loaded.

    Raises BundleRejected.
    """
    directory = find_bundle(name_or_path)
    try:
        manifest = Manifest.load(directory)
    except ManifestError as error:
        raise BundleRejected(str(error)) from error
    return info_of(manifest, device="none"), TokenLimit(directory, manifest)


def _bundled() -> Path:
    return Path(str(files("moderation") / "bundles"))
