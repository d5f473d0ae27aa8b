"""What a decision log costs: the real server with it, in its variants, against the one without.

Repeated pictures are the hard case: nothing is encoded, so that the log's share is the largest.

    python -m benchmarks.decision_log [--rounds 5] [--seconds 2] [--fsync interval,always]
"""

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.load import Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.serve import PATIENT
from benchmarks.servers import our_server

CALLERS = 32
OFF = "off"


def main() -> None:
    """Measure every variant in turns, on pictures that are new and on ones that are known."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=2.0, help="of load a variant and round")
    flags.add_argument("--fsync", default="interval,always", help="variants, with commas between")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    arguments = flags.parse_args()
    variants = [OFF, *arguments.fsync.split(",")]
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory()))
        serve = partial(our_server, arguments.policies, encoder=arguments.encoder)
        address_by_variant = {
            variant: stack.enter_context(serve(env=_settings(variant, scratch)))
            for variant in variants
        }
        measured: dict[tuple[str, str], list[Outcome]] = {}
        for number in range(arguments.rounds):
            start = number % len(variants)
            for variant in variants[start:] + variants[:start]:
                for name, repeats in (("new", False), ("repeated", True)):
                    load = Load(
                        address_by_variant[variant],
                        seconds=arguments.seconds,
                        concurrency=CALLERS,
                        repeats=repeats,
                    )
                    measured.setdefault((name, variant), []).append(run_load(load))
    rows = [row for key, outcomes in measured.items() for row in _rows(key, outcomes)]
    report("decision log, VGA, 32 callers", rows, arguments)


def _settings(variant: str, scratch: Path) -> dict[str, str]:
    if variant == OFF:
        return dict(PATIENT)
    prefix = "MODERATION_DECISION_LOG__"
    log = {f"{prefix}DIRECTORY": str(scratch / variant), f"{prefix}FSYNC": variant}
    return {**PATIENT, **log}


def _rows(key: tuple[str, str], outcomes: list[Outcome]) -> list[Row]:
    """Throughput and latency, held against the server without a log."""
    pictures, variant = key
    name, held = f"{pictures}, {variant}", f"{pictures}, {OFF}" if variant != OFF else ""
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
