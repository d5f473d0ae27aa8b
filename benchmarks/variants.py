"""The real server under one load in several variants of its settings, held against the first."""

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.load import Load, Outcome, run_load, summary
from benchmarks.rounds import Row, parser, report
from benchmarks.serve import PATIENT
from benchmarks.servers import our_server

CALLERS = 32
OFF = "off"
"""The variant that all others are held against."""


def variants_parser(description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags that such a benchmark has."""
    flags = parser(description)
    flags.add_argument("--seconds", type=float, default=2.0, help="of load a variant and round")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    flags.add_argument("--policies", type=Path, default=Path("policies"))
    return flags


def measure_variants(
    title: str,
    env_by_variant: Mapping[str, Mapping[str, str]],
    arguments: argparse.Namespace,
    *,
    before: Sequence[Row] = (),
) -> None:
    """Measure all in turns, on pictures that are new and on ones that are known, and report.

    The rows of `before` are reported first.
    """
    variants = list(env_by_variant)
    with ExitStack() as stack:
        address_by_variant = {
            variant: stack.enter_context(
                our_server(arguments.policies, encoder=arguments.encoder, env={**PATIENT, **env})
            )
            for variant, env in env_by_variant.items()
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
    rows = [*before, *rows]
    report(f"{title}, VGA, {CALLERS} callers", rows, arguments)


def _rows(key: tuple[str, str], outcomes: list[Outcome]) -> list[Row]:
    """Throughput and latency, held against the first variant."""
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
