"""The population stability index, and the bins that it is taken in."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from moderation.core.drift import BINS, Reference, bins_of, counted, stability_index
from moderation.core.policy import policy_hash
from moderation.core.scoring import ScoreScale
from tests.builders import SCALE, a_policy

raw_scores = arrays(
    np.float64, st.integers(1, 300), elements=st.floats(-100, 100, width=16, allow_nan=False)
)
histograms = st.integers(2, BINS).flatmap(
    lambda bins: st.tuples(*(_counts(bins) for _ in range(2)))
)


def _counts(bins: int) -> st.SearchStrategy[NDArray[np.int64]]:
    elements = st.integers(0, 1000)
    return arrays(np.int64, bins, elements=elements).filter(lambda one: bool(one.sum()))


def psi(expected: Any, observed: Any) -> float:  # noqa: ANN401 - what numpy takes
    return float(stability_index(np.array(expected), np.array(observed)))


def test_the_index_of_a_textbook_example() -> None:
    # 0.1 more in one of two equal halves: 2 * 0.1 * ln(1.2) + ... by hand.
    by_hand = (0.6 - 0.5) * np.log(0.6 / 0.5) + (0.4 - 0.5) * np.log(0.4 / 0.5)

    assert psi([50, 50], [60, 40]) == pytest.approx(by_hand)


@given(histograms)
def test_it_is_never_negative_and_never_without_bound(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    assert 0.0 <= psi(*pair) < 2 * BINS * np.log(1e4)


@given(histograms)
def test_both_sides_may_change_places(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    one, other = pair

    assert psi(one, other) == pytest.approx(psi(other, one))


@given(histograms, st.integers(1, 50))
def test_only_shares_matter(pair: tuple[NDArray[np.int64], NDArray[np.int64]], times: int) -> None:
    one, other = pair

    assert psi(one, times * other) == pytest.approx(psi(one, other))
    assert psi(one, times * one) == pytest.approx(0.0, abs=1e-9)


@given(histograms, st.randoms(use_true_random=False))
def test_the_order_of_bins_does_not_matter(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
    random: Any,  # noqa: ANN401
) -> None:
    order = list(range(len(pair[0])))
    random.shuffle(order)

    assert psi(pair[0][order], pair[1][order]) == pytest.approx(psi(*pair))


@given(st.integers(0, 49))
def test_the_further_contents_move_the_higher_it_is(moved: int) -> None:
    assert psi([50, 50], [50 + moved + 1, 49 - moved]) > psi([50, 50], [50 + moved, 50 - moved])


@given(histograms)
def test_bins_that_are_empty_on_both_sides_add_nothing(
    pair: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> None:
    padded = [np.append(one, [0, 0]) for one in pair]

    assert psi(*padded) == pytest.approx(psi(*pair))


@given(raw_scores)
def test_scores_are_alike_to_their_own_reference(raw: NDArray[np.float64]) -> None:
    edges = bins_of(raw)
    counts = counted(raw, edges)

    assert counts.sum() == len(raw)
    assert len(edges) < BINS
    assert np.all(np.diff(edges) > 0)
    assert np.all(counts > 0)
    assert (edges == ()) == (len(np.unique(raw)) == 1)


@given(raw_scores)
def test_bins_follow_the_order_of_scores_and_not_their_scale(raw: NDArray[np.float64]) -> None:
    stretched = 3.0 * raw + 1.0

    np.testing.assert_array_equal(
        counted(raw, bins_of(raw)), counted(stretched, bins_of(stretched))
    )


def test_bins_hold_about_a_tenth_each_and_rounding_moves_nothing() -> None:
    raw = np.random.default_rng(3).permutation(np.arange(1000) / 7)
    edges = bins_of(raw)

    np.testing.assert_array_equal(counted(raw, edges), [100] * BINS)
    np.testing.assert_array_equal(counted(raw + 1e-6, edges), [100] * BINS)


def test_no_change_stays_low_and_a_shift_of_a_deviation_does_not() -> None:
    generator = np.random.default_rng(4)
    reference = generator.normal(size=1000)
    edges = bins_of(reference)
    expected = counted(reference, edges)

    same = [psi(expected, counted(generator.normal(size=500), edges)) for _ in range(200)]

    assert max(same) < 0.1
    assert psi(expected, counted(generator.normal(size=500) + 1.0, edges)) > 0.25


def a_reference(**changes: Any) -> Reference:  # noqa: ANN401 - its fields
    fields: dict[str, Any] = {
        "policy_id": "weapons",
        "encoder_id": "fake-encoder",
        "policy_hash": policy_hash(a_policy()),
        "scale": SCALE.scale,
        "contrast_aggregation": SCALE.contrast_aggregation,
        "edges": (1.0, 2.0),
        "counts": (10, 20, 0),
    }
    return Reference(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"edges": (), "counts": (1,)},
        {"edges": (1.0,), "counts": (1,)},
        {"edges": tuple(range(BINS)), "counts": (1,) * (BINS + 1)},
        {"edges": (2.0, 1.0)},
        {"edges": (1.0, float("inf"))},
        {"counts": (1, -1, 1)},
        {"counts": (0, 0, 0)},
    ],
)
def test_a_reference_that_cannot_be_counted_by_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"edges|counts"):
        a_reference(**changes)


def test_a_reference_is_of_one_wording_and_one_scale() -> None:
    reference = a_reference()

    assert reference.suits(a_policy(review=0.1, title="Arms"), SCALE)
    assert not reference.suits(a_policy(phrases=["a rifle"]), SCALE)
    assert not reference.suits(a_policy(), ScoreScale(11.0, SCALE.default))
    assert not reference.suits(a_policy(), ScoreScale(SCALE.scale, SCALE.default, "max"))
