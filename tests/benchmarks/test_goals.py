"""Goals are held against rows that the benchmarks really have."""

import math

from benchmarks.goals import Goal, as_line, goals, judged
from benchmarks.pictures import KINDS
from benchmarks.scoring import SIZES
from benchmarks.serve import BARE, NAIVE, OURS, SCENARIOS

FASTER = Goal(1, "faster", "encoder", "new", "old", 2.0)
SHORTER = Goal(4, "shorter", "serve", "new", "old", 0.5, at_most=True)


def test_a_goal_is_met_by_the_median_of_the_rounds_ratios() -> None:
    values = {"new": [4.0, 1.0, 30.0], "old": [2.0, 1.0, 10.0]}  # ratios 2, 1 and 3

    assert FASTER.ratio(values) == 2.0
    assert FASTER.is_met(2.0)
    assert not FASTER.is_met(1.9)
    assert SHORTER.is_met(0.5)
    assert not SHORTER.is_met(0.6)


def test_what_is_not_a_number_meets_no_goal() -> None:
    assert not FASTER.is_met(math.nan)
    assert not SHORTER.is_met(math.nan)


def test_what_was_not_measured_stays_open_and_out_of_the_history() -> None:
    found = judged([FASTER, SHORTER], {"encoder": {"new": [3.0], "old": [1.0]}})

    assert [ratio for _, ratio in found] == [3.0, None]
    assert as_line(found)["goals"] == [
        {"goal": "1: faster", "asked": 2.0, "ratio": 3.0, "met": True}
    ]


def test_every_goal_of_the_table_has_a_row_of_a_scenario_that_exists() -> None:
    listed = goals("fp32", "int8", 2)

    assert {goal.number for goal in listed} == set(range(1, 11))
    scenarios = {one.name for one in SCENARIOS}
    for goal in listed:
        rows = {goal.row, goal.held} - {BARE}
        if goal.benchmark == "serve":
            assert {row.rpartition(":")[0] for row in rows} <= scenarios
            assert {row.rpartition(": ")[2].partition(",")[0] for row in rows} <= {OURS, NAIVE}
        if goal.benchmark == "preprocess":
            assert {row.rpartition(":")[0] for row in rows} <= set(KINDS)
        if goal.benchmark.startswith("scoring"):
            assert goal.row in {f"{m * n} phrases, {m} policies" for m, n in SIZES}
