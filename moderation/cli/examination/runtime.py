"""Python and onnxruntime: which of its packages are there, and what they can run on."""

import platform
from collections.abc import Iterator

from moderation import __version__
from moderation.cli.examination.findings import Finding, broken, good
from moderation.settings import Settings

REINSTALL = "pip uninstall onnxruntime onnxruntime-gpu, then install moderation[{}] alone"


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    yield good(f"moderation {__version__}, Python {platform.python_version()}")
    from moderation.adapters.encoders.onnx_session import available_providers, onnxruntime_packages

    extra = "cpu" if settings.encoder.device in {"auto", "cpu"} else "gpu"
    packages = onnxruntime_packages()
    if len(packages) > 1:
        yield broken(
            f"{' and '.join(packages)} are both installed and overwrite each other's files",
            "onnxruntime",
            REINSTALL.format(extra),
        )
        return
    providers = ", ".join(available_providers())
    yield good(f"{' '.join(packages) or 'onnxruntime'}: {providers}", "onnxruntime")
