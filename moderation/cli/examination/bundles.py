"""The encoder, and the second one if there is one: verified, loaded, run, and on which device."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.core.errors import BundleRejected
from moderation.settings import Settings, bundle_store

if TYPE_CHECKING:
    from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder

DEVICE_FILES = Path("/dev")
GPU = "nvidia[0-9]*"
CPU_PROVIDER = "CPUExecutionProvider"


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    from moderation.loading import load_first_encoder, load_second_encoder

    yield from _encoder(settings, "encoder.bundle", settings.encoder.bundle, load_first_encoder)
    second = settings.shadow_encoder.bundle
    if second:
        yield from _encoder(settings, "shadow_encoder.bundle", second, load_second_encoder)


def _encoder(
    settings: Settings,
    setting: str,
    name: str,
    load: Callable[[Settings], "OnnxDualEncoder"],
) -> Iterator[Finding]:
    where = f"{setting} {name}"
    try:
        encoder = load(settings)
    except BundleRejected as error:
        cure = "`moderation bundle list` shows those that can be used"
        yield broken(str(error), where, cure)
        return
    info = encoder.info
    yield good(f"{info.name} ({info.encoder_id[:12]}) has its digests, loads and runs", where)
    yield from _parity(settings, name, where)
    yield device_finding(settings, info.device)
    if encoder.misfit:
        yield doubtful(encoder.misfit, where, "see docs/encoders.md for the precisions")


def _parity(settings: Settings, name: str, where: str) -> Iterator[Finding]:
    """Said of one that was loaded all the same."""
    from moderation.adapters.encoders.manifest import Manifest
    from moderation.adapters.encoders.parity import require_parity
    from moderation.adapters.encoders.registry import find_bundle

    directory = find_bundle(name, store=bundle_store(settings), device=settings.encoder.device)
    try:
        require_parity(directory, Manifest.load(directory))
    except BundleRejected as error:
        yield doubtful(str(error), where, f"moderation bundle verify {directory}")


def device_finding(
    settings: Settings, provider: str, *, device_files: Path = DEVICE_FILES
) -> Finding:
    """Where it really runs; a GPU that lies idle is a mistake more often than not."""
    where = f"encoder.device {settings.encoder.device}"
    gpus = sorted(device_files.glob(GPU))
    if provider == CPU_PROVIDER and gpus and settings.encoder.device == "auto":
        return doubtful(
            f"it runs on {provider}, though there is a GPU ({gpus[0]})",
            where,
            "install moderation[gpu] alone and see docs/gpu.md, or set encoder.device to cpu",
        )
    return good(f"it runs on {provider}", where)
