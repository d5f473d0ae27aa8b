"""Every goal of docs/performance.md against what this machine reaches, by the benchmarks in turn.

    python -m benchmarks.goals --model DIRECTORY --fp32 BUNDLE --int8 BUNDLE
        [--openvino-graph model.xml] [--environments DIRECTORY] [--only encoder serve] [--record]

Takes twenty minutes or less on two cores that do nothing else. `--model` is the model as
`save_pretrained` wrote it, from which both bundles were exported. Run it where torch and
transformers are installed (requirements/export.txt), and OpenVINO for its goal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.encoder import EAGER, FP32_LIMIT, INT8_LIMIT, OPENVINO_INT8
from benchmarks.preprocess import OURS as OUR_DECODER
from benchmarks.preprocess import PROCESSOR
from benchmarks.rounds import HISTORY, append, machine, writable
from benchmarks.scoring import ENCODER
from benchmarks.serve import BARE, NAIVE, OURS

GFLOP = "8.82"
"""Of an image in ViT-B/32."""
WIDTH = 160
AS_SERVED = {"OPENBLAS_NUM_THREADS": "1"}
"""Scoring shares the cores with the encoder: `moderation serve` sets the same."""

Values = Mapping[str, Sequence[float]]
"""A benchmark's values, one a round, by the name of the row."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio of two rows of one benchmark, and the bound that it is to keep."""

    number: int
    name: str
    benchmark: str
    row: str
    held: str
    bound: float
    at_most: bool = False

    def ratio(self, values: Values) -> float | None:
        """The median of the rounds' ratios; None if the run lacks a row."""
        if self.row not in values or self.held not in values:
            return None
        rounds = zip(values[self.row], values[self.held], strict=True)
        return median(mine / theirs if theirs else float("nan") for mine, theirs in rounds)

    def is_met(self, ratio: float) -> bool:
        """Whether this ratio keeps the bound; NaN keeps none."""
        return ratio <= self.bound if self.at_most else ratio >= self.bound


def goals(fp32: str, int8: str, cores: int) -> list[Goal]:
    """The goals, by the names that rows have for these bundles."""

    def encoder(bundle: str) -> str:
        return f"{bundle}, {cores} threads, batch 8"

    def share(bundle: str, limit: str) -> str:
        return f"{encoder(bundle)}, share of {limit}"

    openvino = f"{OPENVINO_INT8}, batch 8"
    served, naive = f"VGA, 32: {OURS}", f"VGA, 32: {NAIVE}"
    phrases = "10000 phrases, 500 policies"
    return [
        Goal(1, "int8 against torch eager", "encoder", encoder(int8), f"{EAGER}, batch 8", 3.5),
        Goal(2, "int8 of its limit", "encoder", share(int8, INT8_LIMIT), INT8_LIMIT, 0.60),
        Goal(2, "fp32 of its limit", "encoder", share(fp32, FP32_LIMIT), FP32_LIMIT, 0.85),
        Goal(3, "int8 against OpenVINO's", "encoder", encoder(int8), openvino, 1.0),
        Goal(4, "32 callers, images", "serve", f"{served}, images", f"{naive}, images", 3.5),
        Goal(4, "32 callers, p99", "serve", f"{served}, p99", f"{naive}, p99", 0.33, at_most=True),
        Goal(5, "12 MP, images", "serve", f"12 MP, 32: {OURS}, images",
             f"12 MP, 32: {NAIVE}, images", 7.0),
        Goal(6, "served of the bare encoder", "serve", f"{served}, images", BARE, 0.85),
        Goal(7, "one caller, p50", "serve", f"VGA, 1: {OURS}, p50", f"VGA, 1: {NAIVE}, p50", 0.45,
             at_most=True),
        Goal(8, "against infinity", "peers", "ours, images", "infinity, images", 3.0),
        Goal(8, "against mosec", "peers", "ours, images", "mosec, images", 1.2),
        *(
            Goal(9, f"decode and preprocess, {kind}", "preprocess", f"{kind}: {OUR_DECODER}",
                 f"{kind}: {PROCESSOR}", bound)
            for kind, bound in (("VGA", 3.0), ("1080p", 7.0), ("12 MP", 13.0))
        ),
        Goal(10, "scoring, beside int8", "scoring int8", phrases, ENCODER, 0.01, at_most=True),
        Goal(10, "scoring, beside fp32", "scoring fp32", phrases, ENCODER, 0.01, at_most=True),
        Goal(10, "the same bytes again, p50", "serve", f"VGA repeated, 1: {OURS}, p50",
             f"VGA, 1: {OURS}, p50", 0.05, at_most=True),
    ]  # fmt: skip


def main() -> None:
    """Run the benchmarks, then hold what they measured against the goals."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--model", type=Path, required=True, help="from save_pretrained")
    flags.add_argument("--fp32", required=True, help="bundle")
    flags.add_argument("--int8", required=True, help="bundle")
    flags.add_argument("--openvino-graph", type=Path, help="by benchmarks.openvino_int8")
    flags.add_argument("--environments", type=Path, default=Path("var/peers"))
    flags.add_argument("--rounds", type=int, default=5)
    flags.add_argument("--only", nargs="*", default=[], help="benchmarks, by their names")
    flags.add_argument(
        "--record", type=writable, nargs="?", const=HISTORY, help="append to a history"
    )
    flags.add_argument("--out", type=Path, help="where the benchmarks' JSON files are to stay")
    arguments = flags.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        out = arguments.out or Path(scratch)
        out.mkdir(parents=True, exist_ok=True)
        values = run_all(arguments, out)
    found = judged(
        goals(Path(arguments.fp32).name, Path(arguments.int8).name, int(machine()["cores"])), values
    )
    show(found)
    if arguments.record is not None:
        append(arguments.record, as_line(found))


def run_all(arguments: argparse.Namespace, out: Path) -> Mapping[str, Values]:
    """Values by benchmark; one that fails is told, and its goals stay open."""
    values: dict[str, Values] = {}
    for name, command in commands(arguments).items():
        if arguments.only and name not in arguments.only:
            continue
        file = out / f"{name.replace(' ', '-')}.json"
        asked = [*command, "--rounds", str(arguments.rounds), "--json", str(file)]
        if arguments.record is not None:
            asked += ["--record", str(arguments.record)]
        print(f"$ python -m {' '.join(asked)}", flush=True)
        env = {**os.environ, **(AS_SERVED if name.startswith("scoring") else {})}
        done = subprocess.run([sys.executable, "-m", *asked], env=env, check=False)
        if done.returncode:
            print(f"{name} ended with exit code {done.returncode}", file=sys.stderr)
            continue
        rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
        values[name] = {row["name"]: row["values"] for row in rows}
    return values


def commands(arguments: argparse.Namespace) -> Mapping[str, list[str]]:
    """Module and flags by name of the benchmark."""
    fp32, int8 = arguments.fp32, arguments.int8
    encoder = ["benchmarks.encoder", "--encoder", fp32, int8, "--batches", "8", "--torch"]
    encoder += ["--threads", machine()["cores"], "--gflop", GFLOP, "--seconds", "2"]
    if arguments.openvino_graph:
        encoder += ["--openvino-graph", str(arguments.openvino_graph)]
    serve = ["benchmarks.serve", "--encoder", int8, "--naive-encoder", fp32]
    peers = ["benchmarks.peers", "--model", str(arguments.model), "--encoder", int8]
    return {
        "encoder": encoder,
        "preprocess": ["benchmarks.preprocess", "--encoder", fp32],
        "scoring int8": ["benchmarks.scoring", "--encoder", int8],
        "scoring fp32": ["benchmarks.scoring", "--encoder", fp32],
        "serve": [*serve, "--only", "VGA, 1", "VGA, 32", "12 MP, 32", "VGA repeated, 1"],
        "peers": [*peers, "--reference", fp32, "--environments", str(arguments.environments)],
    }


Found = Sequence[tuple[Goal, float | None]]


def judged(listed: Sequence[Goal], values: Mapping[str, Values]) -> Found:
    """Each goal with its ratio, or None where nothing was measured."""
    return [(goal, goal.ratio(values.get(goal.benchmark, {}))) for goal in listed]


def show(found: Found) -> None:
    """A table of goals."""
    console = Console()
    console.width = max(console.width, WIDTH)
    table = Table(title="goals", title_justify="left")
    for heading in ("#", "goal", "asked", "measured", ""):
        table.add_column(heading)
    for goal, ratio in found:
        asked = f"{'at most' if goal.at_most else 'at least'} {goal.bound:g}"
        measured = "not measured" if ratio is None else f"{ratio:.3g}"
        verdict = "" if ratio is None else "met" if goal.is_met(ratio) else "not met"
        table.add_row(str(goal.number), goal.name, asked, measured, verdict)
    console.print(table)


def as_line(found: Found) -> Mapping[str, object]:
    """The table as a line of the history."""
    return {
        "title": "goals",
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "goals": [
            {
                "goal": f"{goal.number}: {goal.name}",
                "asked": goal.bound,
                "ratio": round(ratio, 4),
                "met": goal.is_met(ratio),
            }
            for goal, ratio in found
            if ratio is not None
        ],
    }


if __name__ == "__main__":
    main()
