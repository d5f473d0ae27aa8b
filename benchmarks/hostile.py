"""What an 8 MiB upload of each hostile kind costs: processor time and memory of a decoding process.

The pictures are those that must be refused, each filled up to the size with bytes behind its end;
held against the dearest pictures that are allowed.

    python -m benchmarks.hostile
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
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
from tests.picture_builders import a_jpeg, large_animation, large_png
from tests.pictures import UNJUDGEABLE

UPLOAD_BYTES = 8 * 2**20
MB = 2**20
MS = 1000.0


LEGAL: Mapping[str, Callable[[], bytes]] = {
    "a small jpeg (allowed)": a_jpeg,
    "a large png (allowed)": large_png,
    "a large animation (allowed)": large_animation,
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What one upload took of a decoding process."""

    cpu_s: float
    peak_bytes: float
    """By how much the most memory that was resident grew."""
    answer: str


def main() -> None:
    """Print a line for each kind, the dearest first."""
    builders = {name: build for name, (build, _) in UNJUDGEABLE.items()}
    with measured() as cost:
        costs = {name: cost(build()) for name, build in {**LEGAL, **builders}.items()}
    table = Table("what", "answer", "CPU, ms", "memory, MB", title="8 MiB uploads")
    for name, one in sorted(costs.items(), key=lambda item: -item[1].cpu_s):
        table.add_row(name, one.answer, f"{MS * one.cpu_s:.0f}", f"{one.peak_bytes / MB:.0f}")
    Console(width=100).print(table)


@contextmanager
def measured() -> Iterator[Callable[[bytes], Cost]]:
    """What tells the cost of an image, filled up to the size of an upload."""
    limits = WorkerLimits(timeout_s=30, max_memory_bytes=2**30)
    with DecodeWorkers(1, limits, DecodeLimits(), FanOutTelemetry()) as workers:
        decoder = workers.decoder(PixelSpec(224))
        decoder.decode(filled(a_jpeg()))  # its buffers have the size of the upload from now on
        (process,) = decoders_of(psutil.Process().pid)
        yield lambda image: cost_of(process, decoder, filled(image))


def filled(image: bytes) -> bytes:
    """The image, and bytes behind it up to the size; an image that is larger as it is."""
    return image + bytes(max(0, UPLOAD_BYTES - len(image)))


def cost_of(process: psutil.Process, decoder: IsolatedDecoder, image: bytes) -> Cost:
    """Of these bytes as they are."""
    Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew
    before, peak_before = process.cpu_times(), peak(process)
    try:
        decoder.decode(image)
        answer = "decoded"
    except UnjudgeableContent as refusal:
        answer = refusal.code.value
    after = process.cpu_times()
    spent = after.user + after.system - before.user - before.system
    return Cost(spent, max(0.0, peak(process) - peak_before), answer)


def peak(process: psutil.Process) -> float:
    """The most memory that was resident since the peak began anew, in bytes."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM"))
    return 1024.0 * int(line.split()[1])


if __name__ == "__main__":
    main()
