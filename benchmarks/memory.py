"""What memory the service takes: each process at rest, a request that waits, a cached picture.

Of a process, what is its own alone (USS), and what is resident (RSS): that counts code which it
shares with others too. What N workers take lies between N times the one and N times the other.

    python -m benchmarks.memory [--workers 1,2] [--waiting 64,512] [--encoder BUNDLE]
"""

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.load import Load, run_load
from benchmarks.rounds import Row, parser, report
from benchmarks.servers import Running, running_server
from benchmarks.workers import CALLERS, CONNECTIONS, WORKERS

KINDS = ("supervisor", "worker", "decoder")
LOOK_EVERY_S = 0.05
WARM_S = 5.0
ROOM = {
    "MODERATION_LIMITS__MAX_IN_FLIGHT": "4096",
    "MODERATION_BATCHING__MAX_QUEUE_SIZE": "4096",
    "MODERATION_LIMITS__MAX_REQUEST_S": "120",
    "MODERATION_LIMITS__TARGET_WAIT_S": "120",
}
"""As many requests as are sent may wait."""
CACHE = "moderation_embedding_cache_bytes"
LOOKUPS, MISS = "moderation_embedding_lookups_total", 'result="miss"'
MIB = 2**20


def main() -> None:
    """Measure every number of workers one after the other; memory does not wobble as time does."""
    flags = parser(__doc__, rounds=3)
    flags.add_argument("--workers", default="1,2", help="numbers of them, with commas between")
    flags.add_argument("--waiting", default="64,512", help="callers at once, few and many")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    few, many = (int(number) for number in arguments.waiting.split(","))
    rows: list[Row] = []
    for count in (int(number) for number in arguments.workers.split(",")):
        env = {**ROOM, WORKERS: str(count)}
        with running_server(arguments.policies, encoder=arguments.encoder, env=env) as server:
            rows += _at_rest(server, count)
            if count == 1:
                rows += _of_requests(server, few, many, arguments.rounds)
    report(f"memory, {arguments.encoder}", rows, arguments)


def _at_rest(server: Running, workers: int) -> Iterator[Row]:
    """After batches of every size: what the encoder took for them it keeps."""
    _ask(server, callers=CALLERS)
    found = _processes(server.pid, workers)
    for kind, processes in found.items():
        for size in ("uss", "rss") if processes else ():
            sizes = tuple(getattr(one.memory_full_info(), size) / MIB for one in processes)
            name = f"{workers} workers: each {kind}, {size.upper()}"
            yield Row(name, "MiB", sizes, more_is_better=False)


def _of_requests(server: Running, few: int, many: int, rounds: int) -> Iterator[Row]:
    """From the difference between few and many, which cancels what does not grow with them."""
    each = []
    for _ in range(rounds):
        peaks = []
        for callers in (few, many):
            with _watching(psutil.Process(server.pid)) as sizes:
                _ask(server, callers=callers)
            peaks.append(max(sizes))
        each.append((peaks[1] - peaks[0]) / (many - few) / 1024)
    yield Row("a request that waits, VGA", "KiB", tuple(each), more_is_better=False)
    per_picture = server.metric(CACHE) / server.metric(LOOKUPS, MISS)
    yield Row("a picture in the cache", "bytes", (per_picture,), more_is_better=False)


def _ask(server: Running, *, callers: int) -> None:
    """Pictures that are all new."""
    run_load(
        Load(
            server.address,
            seconds=WARM_S,
            warm_up_s=0.0,
            concurrency=callers,
            connections=CONNECTIONS,
        )
    )


def _processes(pid: int, workers: int) -> dict[str, list[psutil.Process]]:
    """Alone, a server is a worker without a supervisor."""
    first = psutil.Process(pid)
    below = first.children(recursive=True)
    decoders = [one for one in below if "moderation.adapters.images.worker" in one.cmdline()]
    others = [one for one in below if one not in decoders]
    if workers == 1:
        return dict(zip(KINDS, ([], [first], decoders), strict=True))
    return dict(zip(KINDS, ([first], others, decoders), strict=True))


@contextmanager
def _watching(process: psutil.Process) -> Iterator[Sequence[int]]:
    """Resident bytes every now and then, as long as the context lasts."""
    sizes: list[int] = [process.memory_info().rss]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY_S):
            sizes.append(process.memory_info().rss)

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield sizes
        finally:
            over.set()
            watching.result()


if __name__ == "__main__":
    main()
