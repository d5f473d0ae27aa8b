"""What several worker processes gain: the real server with so many of them, against one.

They share the cores: each has its part of the encoder's threads and of the decoders. Pictures
that are known already are never encoded; they show what Python and gRPC take, which is what
limits a server whose encoder is on a card. The CPU time a picture (less that of the decoding
processes) tells more than the clock where others use the machine too.

    python -m benchmarks.workers [--rounds 5] [--seconds 3] [--workers 1,2] [--encoder BUNDLE]
"""

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.serve import PATIENT
from benchmarks.servers import Running, running_server

CALLERS = 32
CONNECTIONS = 16
"""Enough for the kernel to give every worker some."""
WORKERS = "MODERATION_SERVER__WORKERS"
CPU = "process_cpu_seconds_total"
DECISIONS = "moderation_decisions_total"
KINDS = {"new": False, "known": True}
"""Whether the same pictures are sent again and again."""


@dataclass(frozen=True, slots=True)
class _Measured:
    """A load's outcome, and the server's CPU time for each of its decisions, in seconds."""

    outcome: Outcome
    cpu_s: float


def main() -> None:
    """Measure every number of workers in turns, on pictures that are new and on known ones."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=3.0, help="of load a variant and round")
    flags.add_argument("--workers", default="1,2", help="numbers of them, with commas between")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    counts = [int(count) for count in arguments.workers.split(",")]
    measured: dict[tuple[str, int], list[_Measured]] = {}
    with ExitStack() as stack:
        servers = {count: stack.enter_context(_server(count, arguments)) for count in counts}
        for number in range(arguments.rounds):
            start = number % len(counts)
            for count in counts[start:] + counts[:start]:
                for kind in KINDS:
                    one = _measure(servers[count], kind, arguments.seconds)
                    measured.setdefault((kind, count), []).append(one)
    rows = [row for key, values in measured.items() for row in _rows(key, counts[0], values)]
    report(f"workers, VGA, {CALLERS} callers on {CONNECTIONS} connections", rows, arguments)


def _server(count: int, arguments: argparse.Namespace) -> AbstractContextManager[Running]:
    env: Mapping[str, str] = {**PATIENT, WORKERS: str(count)}
    return running_server(arguments.policies, encoder=arguments.encoder, env=env)


def _measure(server: Running, kind: str, seconds: float) -> _Measured:
    load = Load(
        server.address,
        seconds=seconds,
        concurrency=CALLERS,
        connections=CONNECTIONS,
        repeats=KINDS[kind],
    )
    cpu_s, decisions = server.metric(CPU), server.metric(DECISIONS)
    outcome = run_load(load)
    spent_s, answered = server.metric(CPU) - cpu_s, server.metric(DECISIONS) - decisions
    return _Measured(outcome, spent_s / answered if answered else float("nan"))


def _rows(key: tuple[str, int], first: int, measured: list[_Measured]) -> list[Row]:
    """Throughput, latency and CPU time, held against the first number of workers."""
    pictures, count = key
    held = f"{pictures}, {first} workers" if count != first else ""
    name = f"{pictures}, {count} workers"
    outcomes = [one.outcome for one in measured]
    per_s = tuple(one.per_s for one in outcomes)
    rows = [
        Row(f"{name}: images", "1/s", per_s, held and f"{held}: images", note=summary(outcomes[0]))
    ]
    for percent in (50, 99):
        values = tuple(one.percentile_ms(percent) for one in outcomes)
        baseline = held and f"{held}: p{percent}"
        rows.append(Row(f"{name}: p{percent}", "ms", values, baseline, more_is_better=False))
    cpu_ms = tuple(1000 * one.cpu_s for one in measured)
    rows.append(Row(f"{name}: CPU", "ms", cpu_ms, held and f"{held}: CPU", more_is_better=False))
    return rows


if __name__ == "__main__":
    main()
