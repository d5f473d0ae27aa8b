"""Numbers in tables: the right ratio, the right best, and everything in the JSON file."""

import json
from pathlib import Path

import pytest

from benchmarks.rounds import Row, interleaved, parser, ratio, report, seconds_per_call

SLOW = Row("slow", "images/s", (10.0, 20.0, 30.0))
FAST = Row("fast", "images/s", (40.0, 40.0, 90.0), baseline="slow", note="why not")
LATE = Row("late", "ms", (3.0, 1.0, 2.0), more_is_better=False)


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    assert ratio(FAST, SLOW) == 3.0  # of 4, 2 and 3; of the medians it would be 2


def test_the_best_is_the_most_or_the_least() -> None:
    assert (SLOW.best, LATE.best) == (30.0, 1.0)
    assert LATE.spread == 1.0


def test_every_variant_runs_in_every_round_and_they_take_turns_at_going_first() -> None:
    order: list[str] = []

    def variant(name: str) -> float:
        order.append(name)
        return float(len(order))

    values = interleaved({name: lambda name=name: variant(name) for name in "ab"}, rounds=2)  # type: ignore[misc]  # a lambda's default has no type

    assert order == ["a", "b", "b", "a"]
    assert values == {"a": (1.0, 4.0), "b": (2.0, 3.0)}


def test_a_call_is_timed_at_least_once_after_one_that_warms_up() -> None:
    calls: list[None] = []

    assert seconds_per_call(lambda: calls.append(None), for_s=0.0) > 0
    assert len(calls) == 2


def test_the_report_shows_the_ratio_and_writes_all_values(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    arguments = parser("Measures.").parse_args(["--rounds", "3", "--json", str(file)])

    report("speed", [SLOW, FAST, LATE], arguments, batches=[1, 8])

    shown = capsys.readouterr().out
    (line,) = [line for line in shown.splitlines() if "fast" in line]
    assert "40" in line
    assert "90" in line
    assert "3 " in line
    assert "why not" in line
    written = json.loads(file.read_text())
    assert written["facts"] == {"batches": [1, 8]}
    assert [row["ratio"] for row in written["rows"]] == [None, 3.0, None]
    assert written["rows"][2]["values"] == [3.0, 1.0, 2.0]
    assert "numpy" in written["machine"]


def test_a_history_gets_a_line_of_ratios_for_each_run(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    arguments = parser("Measures.").parse_args(["--record", str(file)])

    report("first", [SLOW, FAST], arguments)
    report("second", [SLOW], arguments)

    first, second = map(json.loads, file.read_text().splitlines())
    assert first["ratios"] == {"fast": {"of": "slow", "ratio": 3.0, "spread": 1.25}}
    assert (second["title"], second["ratios"]) == ("second", {})
    assert "numpy" in first["machine"]
