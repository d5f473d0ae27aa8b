"""What every benchmark shares: interleaved rounds, ratios, the table, the JSON file.

A machine's speed wobbles from minute to minute, by half on a shared one. Only ratios
of what was measured in turns within one run are evidence; the table shows the median
of each round's ratio, and the numbers themselves for orientation.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

LEAST_WIDTH = 160
HISTORY = Path("benchmarks/history.jsonl")
"""What was measured, when, on which machine and with which versions: a line for each run."""
VERSIONED = (
    "grpcio",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "pillow",
    "protobuf",
    "torch",
    "transformers",
    "uvloop",
)


@dataclass(frozen=True, slots=True)
class Row:
    """One variant's values, a value a round; `baseline` names the row that it is held against."""

    name: str
    unit: str
    values: tuple[float, ...]
    baseline: str = ""
    more_is_better: bool = True
    note: str = ""

    @property
    def best(self) -> float:
        """The best round: least disturbed by others on the machine."""
        return max(self.values) if self.more_is_better else min(self.values)

    @property
    def spread(self) -> float:
        """From worst to best, as a share of the median."""
        middle = median(self.values)
        return (max(self.values) - min(self.values)) / middle if middle else 0.0


def ratio(row: Row, baseline: Row) -> float:
    """The median of the rounds' ratios."""
    pairs = zip(row.values, baseline.values, strict=True)
    return median(mine / theirs if theirs else float("nan") for mine, theirs in pairs)


def interleaved(
    variants: Mapping[str, Callable[[], float]], rounds: int
) -> dict[str, tuple[float, ...]]:
    """Every variant's value in every round; each round begins with another variant."""
    names = list(variants)
    values: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            values[name].append(variants[name]())
    return {name: tuple(of_rounds) for name, of_rounds in values.items()}


def seconds_per_call(work: Callable[[], object], *, for_s: float) -> float:
    """How long one call takes, from as many as fit, after one that warms up."""
    work()
    calls, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < for_s or not calls:
        work()
        calls += 1
        spent = time.perf_counter() - started
    return spent / calls


def parser(description: str | None, *, rounds: int = 5) -> argparse.ArgumentParser:
    """A parser with the flags that every benchmark has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--rounds", type=int, default=rounds, help="interleaved rounds")
    made.add_argument(
        "--json", type=writable, metavar="FILE", help="write everything measured to FILE"
    )
    made.add_argument(
        "--record",
        type=writable,
        metavar="FILE",
        nargs="?",
        const=HISTORY,
        help=f"append the ratios to FILE, by default {HISTORY}",
    )
    return made


def writable(path: str) -> Path:
    """A file that results can go to: better refused now than after twenty minutes."""
    file = Path(path)
    if file.is_dir() or not os.access(file if file.exists() else file.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{path} cannot be written")
    return file


def report(
    title: str,
    rows: Sequence[Row],
    arguments: argparse.Namespace,
    **facts: Any,
) -> None:
    """Print the table, and write the JSON file if one was asked for."""
    console = Console()
    console.width = max(console.width, LEAST_WIDTH)  # a narrow table in a log cannot be read
    by_name = {row.name: row for row in rows}
    table = Table(title=title, title_justify="left")
    table.add_column("what", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for heading in ("median", "best", "spread", "ratio"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("ratio to", no_wrap=True)
    table.add_column("")
    for row in rows:
        held = by_name.get(row.baseline)
        table.add_row(
            row.name,
            row.unit,
            f"{median(row.values):.3g}",
            f"{row.best:.3g}",
            f"{row.spread:.0%}",
            f"{ratio(row, held):.3g}" if held else "",
            row.baseline if held else "",
            row.note,
        )
    console.print(table)
    where = machine()
    console.print(", ".join(f"{key} {value}" for key, value in where.items()), highlight=False)
    measured_at = datetime.now(UTC).isoformat(timespec="seconds")
    if arguments.json is not None:
        document = {
            "title": title,
            "measured_at": measured_at,
            "machine": where,
            "arguments": {key: str(value) for key, value in vars(arguments).items()},
            "facts": facts,
            "rows": [_as_json(row, by_name.get(row.baseline)) for row in rows],
        }
        arguments.json.write_text(as_text(document, indent=2), encoding="utf-8")
    if arguments.record is not None:
        held_against = {row.name: row.baseline for row in rows if row.baseline in by_name}
        ratios = {
            name: {
                "of": baseline,
                "ratio": round(ratio(by_name[name], by_name[baseline]), 4),
                "spread": round(by_name[name].spread, 2),
            }
            for name, baseline in held_against.items()
        }
        append(
            arguments.record,
            {"title": title, "measured_at": measured_at, "machine": where, "ratios": ratios},
        )


def append(history: Path, line: Mapping[str, Any]) -> None:
    """Add a run to a file of JSON lines."""
    with history.open("a", encoding="utf-8") as file:
        file.write(as_text(line))


def as_text(document: Mapping[str, Any], *, indent: int | None = None) -> str:
    """JSON that any reader takes: what is no number, such as a ratio to nothing, is null."""
    return json.dumps(_without_nan(document), indent=indent, allow_nan=False) + "\n"


def _without_nan(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nan(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def machine() -> dict[str, str]:
    """What it ran on, and with what."""
    facts = {
        "cpu": _cpu_model(),
        "cores": str(len(os.sched_getaffinity(0))),
        "load": f"{os.getloadavg()[0]:.1f}",
        "python": platform.python_version(),
    }
    for package in VERSIONED:
        try:
            facts[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _as_json(row: Row, baseline: Row | None) -> dict[str, Any]:
    return {
        "name": row.name,
        "unit": row.unit,
        "values": list(row.values),
        "median": median(row.values),
        "best": row.best,
        "baseline": row.baseline,
        "ratio": None if baseline is None else ratio(row, baseline),
        "note": row.note,
    }
