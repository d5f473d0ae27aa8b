"""Ten times the load that the server can answer: what it still answers, and how fast it refuses.

First the peak is measured with as many callers as keep the encoder busy; then an open
loop sends that rate and ten times that rate, in turns.

    python -m benchmarks.overload [--rounds 3] [--seconds 10] [--factor 10]
"""

from pathlib import Path

from benchmarks.load import SHED, Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.servers import our_server

BUSY_CALLERS = 16
SETTLING_S = 5.0
"""Admission has found its limit by then."""


def main() -> None:
    """Measure peak, one times and many times the peak in each round."""
    flags = parser(__doc__, rounds=3)
    flags.add_argument("--seconds", type=float, default=10.0, help="of each load")
    flags.add_argument("--factor", type=float, default=10.0, help="how many times the peak")
    flags.add_argument("--kind", default="VGA")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    peaks: list[Outcome] = []
    once: list[Outcome] = []
    over: list[Outcome] = []
    with our_server(arguments.policies, encoder=arguments.encoder) as address:

        def ask(rate: float) -> Outcome:
            load = Load(
                address,
                arguments.kind,
                arguments.seconds,
                warm_up_s=SETTLING_S,
                concurrency=BUSY_CALLERS,
                rate=rate,
            )
            return run_load(load)

        for _ in range(arguments.rounds):
            peaks.append(ask(0.0))
            rate = max(peaks[-1].per_s, 1.0)
            once.append(ask(rate))
            over.append(ask(arguments.factor * rate))
    report(
        f"overload, {arguments.factor:g} times the peak, {arguments.kind}",
        rows_of(peaks, once, over),
        arguments,
    )


def rows_of(peaks: list[Outcome], once: list[Outcome], over: list[Outcome]) -> list[Row]:
    """Goodput against the peak, latency against that at one times the peak, refusals."""

    def latency(name: str, outcomes: list[Outcome], baseline: str = "", code: str = "OK") -> Row:
        values = tuple(one.percentile_ms(99, code) for one in outcomes)
        return Row(name, "ms", values, baseline, more_is_better=False)

    return [
        Row("peak", "images/s", tuple(one.per_s for one in peaks)),
        Row(
            "1x: answered",
            "images/s",
            tuple(one.per_s for one in once),
            "peak",
            note=summary(once[-1]),
        ),
        Row(
            "overload: answered",
            "images/s",
            tuple(one.per_s for one in over),
            "peak",
            note=summary(over[-1]),
        ),
        latency("1x: p99 of answers", once),
        latency("overload: p99 of answers", over, "1x: p99 of answers"),
        latency("overload: p99 of refusals", over, code=SHED),
    ]


if __name__ == "__main__":
    main()
