"""What it costs to decode in processes instead of on threads: alone, and in the whole server.

    python -m benchmarks.isolation [--rounds 5] [--seconds 2] [--encoder BUNDLE]

Processes are also held against threads by what one of them takes: time to start, and memory.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import islice, repeat
from pathlib import Path

import psutil

from benchmarks.load import Load, run_load
from benchmarks.pictures import picture
from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from benchmarks.servers import our_server
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.images.worker import WorkerLimits
from moderation.adapters.images.workers import DecodeWorkers
from moderation.core.content import PixelSpec
from moderation.service.ports import ImageDecoder
from moderation.service.telemetry import FanOutTelemetry

KINDS = ("VGA", "1080p")
ISOLATION = "MODERATION_DECODE__ISOLATION"
PATIENT = {"MODERATION_LIMITS__TARGET_WAIT_S": "60"}
"""So that no request is turned away, and each is decoded."""
AT_ONCE = 2
A_CALL = 8
CALLERS = 32
SPEC = PixelSpec(224)
LIMITS = WorkerLimits(timeout_s=30, max_memory_bytes=2**30)
THREAD, PROCESS = "thread", "process"


def main() -> None:
    """Measure both, and show processes against threads."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=2.0, help="a variant, kind and round")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    rounds, seconds = arguments.rounds, arguments.seconds
    rows = decoded_alone(rounds, seconds)
    rows += served(arguments.policies, arguments.encoder, rounds, seconds)
    report(f"isolation, {AT_ONCE} decoders, {arguments.encoder}", rows, arguments)


def decoded_alone(rounds: int, seconds: float) -> list[Row]:
    """Pictures a second from the decoders alone, and what one process takes."""
    images = DecodeLimits()
    started = time.perf_counter()
    with DecodeWorkers(AT_ONCE, LIMITS, images, FanOutTelemetry()) as workers:
        decoders: dict[str, ImageDecoder] = {
            THREAD: PillowDecoder(SPEC, images),
            PROCESS: workers.decoder(SPEC),
        }
        start_s = time.perf_counter() - started
        rows = [row for kind in KINDS for row in _decoded(kind, decoders, rounds, seconds)]
        memory = [one.memory_full_info().uss / 2**20 for one in psutil.Process().children()]
    return [
        *rows,
        Row("until the first process is ready", "s", (start_s,), more_is_better=False),
        Row("a process, memory of its own", "MB", tuple(memory), more_is_better=False),
    ]


def _decoded(
    kind: str, decoders: dict[str, ImageDecoder], rounds: int, seconds: float
) -> list[Row]:
    image = picture(kind)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        measures = {
            name: partial(_per_s, partial(_together, threads, decoder, image), seconds)
            for name, decoder in decoders.items()
        }
        return _rows(f"decoded, {kind}", interleaved(measures, rounds))


def _together(threads: ThreadPoolExecutor, decoder: ImageDecoder, image: bytes) -> None:
    list(threads.map(decoder.decode, islice(repeat(image), A_CALL)))


def _per_s(work: Callable[[], object], seconds: float) -> float:
    return A_CALL / seconds_per_call(work, for_s=seconds)


def served(policies: Path, encoder: str, rounds: int, seconds: float) -> list[Row]:
    """Decisions a second of the real server."""
    with ExitStack() as stack:
        addresses = {
            name: stack.enter_context(
                our_server(policies, encoder=encoder, env={**PATIENT, ISOLATION: name})
            )
            for name in (THREAD, PROCESS)
        }
        return [
            row
            for kind in KINDS
            for row in _rows(
                f"served, {kind}, {CALLERS}",
                interleaved(
                    {
                        name: partial(_served_per_s, address, kind, seconds)
                        for name, address in addresses.items()
                    },
                    rounds,
                ),
            )
        ]


def _served_per_s(address: str, kind: str, seconds: float) -> float:
    return run_load(Load(address, kind, seconds, concurrency=CALLERS)).per_s


def _rows(name: str, values: dict[str, tuple[float, ...]]) -> list[Row]:
    threads = f"{name}: {THREAD}"
    return [
        Row(threads, "1/s", values[THREAD]),
        Row(f"{name}: {PROCESS}", "1/s", values[PROCESS], threads),
    ]


if __name__ == "__main__":
    main()
