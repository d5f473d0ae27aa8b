"""Ten times the load that the server can answer: what it still answers, and how fast it refuses.

First the peak is measured with as many callers as keep the encoder busy; then an open loop sends
that rate and ten times that rate, in turns, and ten times that rate as our clients do, which send
less to a server that turns them away ("throttled"). The generator has a core of its own and the
server the others, in all of it: else the tenfold load would take from the server what it answers
with, and that would be the generator's doing. A connection over the loopback is worked on by the
core that sends, so what the server receives is paid for by the generator as by a machine of its
own.

The clock tells little on a machine that others use too. Processor time tells more: how many
answers a second of it gave, under overload against at the peak, and what a refusal takes of it by a
server that refuses everything.

    python -m benchmarks.overload [--rounds 3] [--seconds 10] [--factor 10] [--deadline 0.5]
        [--generator-cores 1]
"""

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cores import Spent, on_cores, spent_by, split_cores
from benchmarks.load import SHED, Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.servers import Running, running_server

BUSY_CALLERS = 16
SETTLING_S = 5.0
"""Admission has found its limit by then."""
RPCS = "moderation_rpcs_total"
NO_ROOM = {
    "MODERATION_LIMITS__MAX_MEMORY_BYTES": "1000000",
    "MODERATION_LIMITS__MAX_MEMORY_SHARE": "0.5",
}
"""More than this is taken before the first request."""
LITTLE = Load("", seconds=3.0, warm_up_s=1.0, rate=300.0)


@dataclass(frozen=True, slots=True)
class Run:
    """One load: what its sender saw, and what the server did and spent meanwhile, warm-up too."""

    outcome: Outcome
    spent: Spent
    answers: float
    refusals: float

    @property
    def answers_per_cpu_s(self) -> float:
        """For each second of processor time, whatever else that went into."""
        return self.answers / self.spent.all_s

    @property
    def refusal_s(self) -> float:
        """Processor time of a refusal, where nothing else was asked."""
        return self.spent.all_s / self.refusals


@dataclass(frozen=True, slots=True)
class Round:
    """The loads of one round."""

    peak: Run
    once: Run
    over: Run
    throttled: Run
    """Many times the peak too, of clients that send less to a server which turns them away."""
    hurried: Run
    """Many times the peak too, of clients that have little time."""
    full: Run


def main() -> None:
    """Measure peak, one times and many times the peak in each round."""
    arguments = _arguments()
    split = split_cores(arguments.generator_cores)
    with ExitStack() as stack:
        stack.enter_context(on_cores(split.server))
        policies, encoder = arguments.policies, arguments.encoder
        server = stack.enter_context(running_server(policies, encoder=encoder))
        full = stack.enter_context(running_server(policies, encoder=encoder, env=NO_ROOM))
        stack.enter_context(on_cores(split.generator))
        rounds = [_round(server, full, arguments) for _ in range(arguments.rounds)]
    report(
        f"overload, {arguments.factor:g} times the peak, {arguments.kind}, server on "
        f"{len(split.server)} cores, generator on {len(split.generator)} others",
        rows_of(rounds),
        arguments,
    )


def _arguments() -> argparse.Namespace:
    flags = parser(__doc__, rounds=3)
    flags.add_argument("--seconds", type=float, default=10.0, help="of each load")
    flags.add_argument("--factor", type=float, default=10.0, help="how many times the peak")
    flags.add_argument("--deadline", type=float, default=0.5, help="of hurried clients, in seconds")
    flags.add_argument("--kind", default="VGA")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    flags.add_argument("--generator-cores", type=int, default=1, help="that the server never uses")
    return flags.parse_args()


def _round(server: Running, full: Running, arguments: argparse.Namespace) -> Round:
    def ask(rate: float, **changes: Any) -> Run:
        load = Load(
            server.address,
            arguments.kind,
            arguments.seconds,
            warm_up_s=SETTLING_S,
            concurrency=BUSY_CALLERS,
            rate=rate,
            **changes,
        )
        return _watched(server, load)

    peak = ask(0.0)
    rate = max(peak.outcome.per_s, 1.0)
    once, over = ask(rate), ask(arguments.factor * rate)
    throttled = ask(arguments.factor * rate, throttled=True)
    hurried = ask(arguments.factor * rate, timeout_s=arguments.deadline)
    little = replace(LITTLE, address=full.address, kind=arguments.kind)
    return Round(peak, once, over, throttled, hurried, _watched(full, little))


def _watched(server: Running, load: Load) -> Run:
    def counted() -> tuple[Spent, float, float]:
        answers = server.metric(RPCS, 'code="OK"')
        return spent_by(server.pid), answers, server.metric(RPCS, f'code="{SHED}"')

    spent, answers, refusals = counted()
    outcome = run_load(load)
    spent_then, answers_then, refusals_then = counted()
    return Run(outcome, spent_then.since(spent), answers_then - answers, refusals_then - refusals)


def rows_of(rounds: list[Round]) -> list[Row]:
    """Goodput against the peak, latency against that at one times the peak, refusals."""
    return [*_answered(rounds), *_latencies(rounds), *_costs(rounds)]


def _answered(rounds: list[Round]) -> list[Row]:
    last = rounds[-1]

    def row(name: str, runs: list[Run], baseline: str = "", note: str = "") -> Row:
        values = tuple(run.outcome.per_s for run in runs)
        return Row(name, "images/s", values, baseline, note=note)

    once, over = [one.once for one in rounds], [one.over for one in rounds]
    throttled, hurried = [one.throttled for one in rounds], [one.hurried for one in rounds]
    return [
        row("peak", [one.peak for one in rounds]),
        row("1x: answered", once, "peak", summary(last.once.outcome)),
        row("overload: answered", over, "peak", summary(last.over.outcome)),
        row("throttled: answered", throttled, "peak", summary(last.throttled.outcome)),
        row("hurried: answered", hurried, "peak", summary(last.hurried.outcome)),
    ]


def _latencies(rounds: list[Round]) -> list[Row]:
    def row(name: str, outcomes: list[Outcome], baseline: str = "", code: str = "OK") -> Row:
        values = tuple(one.percentile_ms(99, code) for one in outcomes)
        return Row(name, "ms", values, baseline, more_is_better=False)

    once = [one.once.outcome for one in rounds]
    over = [one.over.outcome for one in rounds]
    throttled = [one.throttled.outcome for one in rounds]
    late = tuple(1000 * float(np.percentile(one.late_s, 99)) for one in over)
    return [
        row("1x: p99 of answers", once),
        row("overload: p99 of answers", over, "1x: p99 of answers"),
        row("overload: p99 of refusals", over, code=SHED),
        row("throttled: p99 of answers", throttled, "1x: p99 of answers"),
        row("throttled: p99 of refusals", throttled, code=SHED),
        row("hurried: p99 of refusals", [one.hurried.outcome for one in rounds], code=SHED),
        Row("overload: sent late, p99", "ms", late, more_is_better=False, note="within the above"),
    ]


def _costs(rounds: list[Round]) -> list[Row]:
    def row(name: str, runs: list[Run], baseline: str = "") -> Row:
        return Row(name, "a CPU s", tuple(run.answers_per_cpu_s for run in runs), baseline)

    over = [one.over for one in rounds]
    full = tuple(1e6 * one.full.refusal_s for one in rounds)
    loop = tuple(run.spent.main_s / run.spent.all_s for run in over)
    return [
        row("peak: answers", [one.peak for one in rounds]),
        row("overload: answers", over, "peak: answers"),
        row("throttled: answers", [one.throttled for one in rounds], "peak: answers"),
        Row("a refusal, nothing else asked", "CPU us", full, more_is_better=False),
        Row("overload: event loop", "of CPU time", loop, more_is_better=False),
    ]


if __name__ == "__main__":
    main()
