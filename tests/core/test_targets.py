"""Targets are solved where the data can prove them, and refused at the exact count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from moderation.core.bounds import upper_bound
from moderation.core.calibration import SolvedThreshold, TargetKind, ThresholdTarget
from moderation.core.targets import RefusedTarget, solve_target

FPR_1_PERCENT = ThresholdTarget(TargetKind.MAX_FPR, 0.01)
RECALL_95_PERCENT = ThresholdTarget(TargetKind.MIN_RECALL, 0.95)


def mixed(benign: int, violating: int) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores that overlap, and the answers, in no particular order."""
    generator = np.random.default_rng(benign + violating)
    scores = np.concatenate([generator.beta(1, 4, benign), generator.beta(4, 1, violating)])
    order = generator.permutation(len(scores))
    return scores[order], (np.arange(len(scores)) >= benign)[order]


@pytest.mark.parametrize(
    ("target", "enough"), [(FPR_1_PERCENT, (299, 0)), (RECALL_95_PERCENT, (0, 59))]
)
def test_a_target_is_solved_from_exactly_the_count_that_proves_it(
    target: ThresholdTarget, enough: tuple[int, int]
) -> None:
    benign, violating = enough
    one_less = max(benign - 1, 0), max(violating - 1, 0)

    solved = solve_target(target, *mixed(benign, violating))
    refused = solve_target(target, *mixed(*one_less))

    assert isinstance(solved, SolvedThreshold)
    assert solved.errors == 0
    assert refused == RefusedTarget(target, sum(one_less), needed=sum(enough))


def test_a_refusal_says_what_is_missing() -> None:
    few_benign = solve_target(FPR_1_PERCENT, *mixed(12, 400))
    few_violating = solve_target(RECALL_95_PERCENT, *mixed(400, 12))

    assert str(few_benign) == "max_fpr: 0.01 needs at least 299 benign contents; got 12"
    assert str(few_violating) == "min_recall: 0.95 needs at least 59 violating contents; got 12"


def test_more_data_cannot_help_where_benign_contents_are_certain_violations() -> None:
    scores, is_violating = np.ones(400), np.zeros(400, dtype=np.bool_)

    refused = solve_target(FPR_1_PERCENT, scores, is_violating)

    assert str(refused) == (
        "max_fpr: 0.01: too many benign contents have a probability of 1; no cut is higher"
    )


@given(
    st.integers(60, 800),
    st.integers(60, 800),
    st.sampled_from([0.05, 0.1, 0.2]),
)
def test_what_is_solved_shows_its_proof(benign: int, violating: int, rate: float) -> None:
    scores, is_violating = mixed(benign, violating)

    fpr = solve_target(ThresholdTarget(TargetKind.MAX_FPR, rate), scores, is_violating)
    recall = solve_target(ThresholdTarget(TargetKind.MIN_RECALL, 1 - rate), scores, is_violating)

    assert isinstance(fpr, SolvedThreshold)
    assert fpr.errors == np.sum(scores[~is_violating] >= fpr.threshold)
    assert upper_bound(fpr.errors, benign) <= fpr.bound <= rate
    assert fpr.count == benign
    assert isinstance(recall, SolvedThreshold)
    assert recall.errors == np.sum(scores[is_violating] < recall.threshold)
    assert 1 - upper_bound(recall.errors, violating) >= recall.bound >= 1 - rate
    assert recall.count == violating


def test_a_cut_depends_on_the_ranks_of_the_scores_alone() -> None:
    """So a curve that was fitted to the same labels takes nothing from the promise."""
    scores, is_violating = mixed(400, 100)

    plain = solve_target(FPR_1_PERCENT, scores, is_violating)
    curved = solve_target(FPR_1_PERCENT, scores**3, is_violating)

    assert isinstance(plain, SolvedThreshold)
    assert isinstance(curved, SolvedThreshold)
    np.testing.assert_array_equal(scores >= plain.threshold, scores**3 >= curved.threshold)
