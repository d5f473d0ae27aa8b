"""What several worker processes gain: the real server with so many of them, against one.

They share the cores: each has its part of the encoder's threads and of the decoders. Pictures
that are known already are never encoded; they show what Python and gRPC take, which is what
limits a server whose encoder is on a card.

    python -m benchmarks.workers [--rounds 5] [--seconds 3] [--workers 1,2] [--encoder BUNDLE]
"""

from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.serve import PATIENT
from benchmarks.servers import our_server

CALLERS = 32
CONNECTIONS = 16
"""Enough for the kernel to give every worker some."""
WORKERS = "MODERATION_SERVER__WORKERS"


def main() -> None:
    """Measure every number of workers in turns, on pictures that are new and on known ones."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=3.0, help="of load a variant and round")
    flags.add_argument("--workers", default="1,2", help="numbers of them, with commas between")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    counts = [int(count) for count in arguments.workers.split(",")]
    measured: dict[tuple[str, int], list[Outcome]] = {}
    with ExitStack() as stack:
        address_by_count = {
            count: stack.enter_context(
                our_server(
                    arguments.policies,
                    encoder=arguments.encoder,
                    env={**PATIENT, WORKERS: str(count)},
                )
            )
            for count in counts
        }
        for number in range(arguments.rounds):
            start = number % len(counts)
            for count in counts[start:] + counts[:start]:
                for name, repeats in (("new", False), ("known", True)):
                    load = Load(
                        address_by_count[count],
                        seconds=arguments.seconds,
                        concurrency=CALLERS,
                        connections=CONNECTIONS,
                        repeats=repeats,
                    )
                    measured.setdefault((name, count), []).append(run_load(load))
    rows = [row for key, outcomes in measured.items() for row in _rows(key, counts[0], outcomes)]
    report(f"workers, VGA, {CALLERS} callers on {CONNECTIONS} connections", rows, arguments)


def _rows(key: tuple[str, int], first: int, outcomes: list[Outcome]) -> list[Row]:
    """Throughput and latency, held against the first number of workers."""
    pictures, count = key
    held = f"{pictures}, {first} workers" if count != first else ""
    name = f"{pictures}, {count} workers"
    per_s = tuple(one.per_s for one in outcomes)
    rows = [
        Row(f"{name}: images", "1/s", per_s, held and f"{held}: images", note=summary(outcomes[0]))
    ]
    for percent in (50, 99):
        values = tuple(one.percentile_ms(percent) for one in outcomes)
        baseline = held and f"{held}: p{percent}"
        rows.append(Row(f"{name}: p{percent}", "ms", values, baseline, more_is_better=False))
    return rows


if __name__ == "__main__":
    main()
