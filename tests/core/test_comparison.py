from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.comparison import (
    RATE_TOLERANCE,
    Pair,
    Pairing,
    PolicyComparison,
    Rate,
    compare,
    quantile_match,
)
from moderation.core.policy import Action, Thresholds

PAIRING = Pairing("old", "new", "1")
CUTS = Thresholds(0.5, 0.8)

scores = st.floats(0.0, 1.0)
score_pairs = st.lists(st.tuples(scores, scores), min_size=1, max_size=60)


def pairs_of(scored: Sequence[tuple[float, float]], policy_id: str = "weapons") -> list[Pair]:
    return [Pair(f"{place:04x}", {policy_id: one}, PAIRING) for place, one in enumerate(scored)]


def compared(
    scored: Sequence[tuple[float, float]], thresholds: Thresholds = CUTS
) -> PolicyComparison:
    (found,) = compare(pairs_of(scored), {("weapons", ""): thresholds})
    return found


def test_an_encoder_compared_with_itself_changes_nothing() -> None:
    found = compared([(one, one) for one in np.linspace(0.0, 0.99, 100)])

    assert found.shift.mean == 0.0
    assert found.shift.rank_correlation == pytest.approx(1.0)
    assert found.agreement == Rate(100, 100)
    assert found.flips == {}
    assert found.review.keeps_rate


def test_a_shift_of_every_score_moves_the_thresholds_with_it() -> None:
    found = compared([(one, one / 2) for one in np.linspace(0.0, 1.0, 1001)])

    assert found.thresholds.review == pytest.approx(0.25, abs=0.001)
    assert found.thresholds.block == pytest.approx(0.4, abs=0.001)
    assert found.review.unchanged_rate.value == pytest.approx(0.001, abs=0.001)
    assert found.review.new_rate == found.review.old_rate
    assert found.shift.rank_correlation == pytest.approx(1.0)


def test_flips_are_counted_from_one_action_to_the_other() -> None:
    found = compared([(0.9, 0.1), (0.9, 0.6), (0.1, 0.6), (0.2, 0.6), (0.3, 0.2)])

    assert found.flips == {
        (Action.ALLOW, Action.REVIEW): 2,
        (Action.BLOCK, Action.ALLOW): 1,
        (Action.BLOCK, Action.REVIEW): 1,
    }
    assert found.agreement == Rate(1, 5)


def test_a_policy_that_never_blocks_keeps_not_blocking() -> None:
    found = compared([(0.6, 0.3), (0.1, 0.1)], Thresholds(0.5, None))

    assert found.block is None
    assert found.thresholds.block is None


def test_cuts_that_flag_as_many_already_are_kept() -> None:
    found = compared([(0.9, 0.95), (0.6, 0.7), (0.1, 0.2)])

    assert found.thresholds == CUTS


def test_where_only_the_block_cut_has_to_move_review_does_not_pass_it() -> None:
    found = compared([(0.9, 0.78), (0.1, 0.0)], Thresholds(0.7, 0.8))

    assert found.thresholds.review == found.thresholds.block
    assert found.review.new_rate == found.review.old_rate


@pytest.mark.parametrize("score", [0.1, 0.9])
def test_where_nothing_or_everything_was_flagged_the_threshold_is_extrapolated(
    score: float,
) -> None:
    found = compared([(score, 0.2), (score, 0.3), (score, 0.4)])

    assert found.review.is_extrapolated
    assert found.review.new_rate == found.review.old_rate


def test_equal_scores_take_the_nearest_rate_that_there_is() -> None:
    found = compared([(0.9, 0.5), (0.1, 0.5), (0.1, 0.5), (0.1, 0.5)])

    assert found.review.new_rate.count == 0
    assert not found.review.keeps_rate


def test_noise_is_told_by_the_half_that_was_not_fitted_on() -> None:
    random = np.random.default_rng(5)
    old = random.uniform(size=4000)
    new = np.clip(old + random.normal(scale=0.05, size=4000), 0.0, 1.0)

    found = compared(list(zip(old, new, strict=True)))

    assert found.review.held_out_difference is not None
    assert abs(found.review.held_out_difference) <= RATE_TOLERANCE
    assert found.review.keeps_rate


def test_too_few_contents_have_no_half_to_hold_out() -> None:
    assert compared([(0.6, 0.4)]).review.held_out_difference is None


def test_the_same_content_counts_once_as_scored_last() -> None:
    seen = [Pair("ab", {"weapons": (0.9, new)}, PAIRING) for new in (0.1, 0.9)]

    (found,) = compare(seen, {("weapons", ""): CUTS})

    assert found.agreement == Rate(1, 1)


def test_each_policy_and_each_profile_has_its_own_row() -> None:
    seen = [Pair("0a", {"weapons": (0.6, 0.6), "drugs": (0.1, 0.1)}, PAIRING)]
    cuts = {("weapons", ""): CUTS, ("weapons", "kids"): CUTS, ("nudity", ""): CUTS}

    found = compare(seen, cuts)

    assert [(one.policy_id, one.profile) for one in found] == [("weapons", ""), ("weapons", "kids")]


@given(score_pairs, scores, scores)
def test_new_thresholds_stay_in_order_and_in_range(
    scored: list[tuple[float, float]], one: float, other: float
) -> None:
    found = compared(scored, Thresholds(min(one, other), max(one, other)))

    assert found.thresholds.block is not None
    assert 0.0 <= found.thresholds.review <= found.thresholds.block <= 1.0


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=60, unique=True), st.data())
def test_distinct_scores_keep_the_flag_rate_exactly(new: list[int], data: st.DataObject) -> None:
    new_scores = np.array(new) / 10_001
    old_scores = np.array(data.draw(st.lists(scores, min_size=len(new), max_size=len(new))))
    threshold = data.draw(scores)

    fitted = quantile_match(old_scores, new_scores, threshold)

    assert np.sum(new_scores >= fitted) == np.sum(old_scores >= threshold)


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    [(0, 0, 0.0, 1.0), (0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0)],
)
def test_a_rate_has_wilson_s_interval(count: int, total: int, low: float, high: float) -> None:
    assert Rate(count, total).interval == pytest.approx((low, high), abs=1e-4)


def test_scores_that_do_not_vary_disagree_about_no_order() -> None:
    assert compared([(0.5, 0.1), (0.5, 0.2)]).shift.rank_correlation == 1.0


def test_equal_scores_share_a_rank() -> None:
    found = compared([(0.1, 0.1), (0.2, 0.3), (0.2, 0.3), (0.4, 0.9)])

    assert found.shift.rank_correlation == pytest.approx(1.0)
