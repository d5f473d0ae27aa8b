"""What an 8 MiB upload of each hostile kind costs: processor time and memory of a decoding process.

The pictures are those that must be refused, each filled up to the size with bytes behind its end;
held against the dearest pictures that are allowed.

    python -m benchmarks.hostile
"""

from collections.abc import Callable
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from moderation.adapters.images import DecodeLimits
from moderation.adapters.images.worker import WorkerLimits
from moderation.adapters.images.workers import DecodeWorkers, IsolatedDecoder
from moderation.core.content import PixelSpec
from moderation.core.errors import UnjudgeableContent
from moderation.service.telemetry import FanOutTelemetry
from tests.decoders import decoders_of
from tests.picture_builders import a_jpeg, large_png
from tests.pictures import UNJUDGEABLE

UPLOAD_BYTES = 8 * 2**20
MB = 2**20
MS = 1000.0


def main() -> None:
    """Print a line for each kind, the dearest first."""
    limits = WorkerLimits(timeout_s=30, max_memory_bytes=2**30)
    lines: list[tuple[float, float, str, str]] = []
    with DecodeWorkers(1, limits, DecodeLimits(), FanOutTelemetry()) as workers:
        decoder = workers.decoder(PixelSpec(224))
        decoder.decode(filled(a_jpeg()))  # its buffers have the size of the upload from now on
        (process,) = decoders_of(psutil.Process().pid)
        legal: dict[str, Callable[[], bytes]] = {
            "a small jpeg (allowed)": a_jpeg,
            "a large png (allowed)": large_png,
        }
        builders = {name: build for name, (build, _) in UNJUDGEABLE.items()}
        for name, build in {**legal, **builders}.items():
            lines.append((*cost(process, decoder, filled(build())), name))
    table = Table("what", "answer", "CPU, ms", "memory, MB", title="8 MiB uploads")
    for cpu_s, n_bytes, answer, name in sorted(lines, reverse=True):
        table.add_row(name, answer, f"{MS * cpu_s:.0f}", f"{n_bytes / MB:.0f}")
    Console(width=100).print(table)


def filled(image: bytes) -> bytes:
    """The image, and bytes behind it up to the size; an image that is larger as it is."""
    return image + bytes(max(0, UPLOAD_BYTES - len(image)))


def cost(
    process: psutil.Process, decoder: IsolatedDecoder, image: bytes
) -> tuple[float, float, str]:
    """Processor time, growth of the peak of memory in bytes, and the answer."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, peak_before = process.cpu_times(), peak(process)
    try:
        decoder.decode(image)
        answer = "decoded"
    except UnjudgeableContent as refusal:
        answer = refusal.code.value
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return spent, max(0.0, peak(process) - peak_before), answer


def peak(process: psutil.Process) -> float:
    """The most memory that was resident since the peak began anew, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return 1024.0 * int(line.split()[1])


if __name__ == "__main__":
    main()
