"""What a sample proves: exact counts, exact bounds, and promises that hold as often as they say."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from moderation.core.bounds import (
    RISK,
    STEPS,
    count_needed,
    cut_above,
    cut_below,
    errors_allowed,
    interval,
    lower_bound,
    upper_bound,
)

REPETITIONS = 4_000
SURPRISE = 1e-4
"""How often a check of a frequency may fail although all is well; the seeds are fixed."""
rates = st.floats(0.001, 0.5)
Draw = Callable[[np.random.Generator, int], NDArray[np.float64]]


def chance_of_at_most(errors: int, count: int, rate: float) -> Fraction:
    """P(Binomial(count, rate) <= errors), exactly."""
    chance = Fraction(rate)
    return sum(
        (math.comb(count, i) * chance**i * (1 - chance) ** (count - i) for i in range(errors + 1)),
        Fraction(0),
    )


@pytest.mark.parametrize(
    ("rate", "count"),
    [(0.01, 299), (1 - 0.95, 59), (0.005, 598), (0.001, 2995), (0.1, 29), (0.5, 5)],
)
def test_the_count_that_proves_a_rate_with_no_error_seen(rate: float, count: int) -> None:
    assert count_needed(rate) == count
    assert chance_of_at_most(0, count, rate) <= RISK < chance_of_at_most(0, count - 1, rate)


@given(rates)
def test_a_sample_is_too_small_up_to_exactly_the_count_needed(rate: float) -> None:
    needed = count_needed(rate)

    assert errors_allowed(needed - 1, rate) is None
    assert errors_allowed(needed, rate) == 0


@given(st.integers(5, 150), rates)
def test_one_error_more_than_allowed_proves_nothing(count: int, rate: float) -> None:
    allowed = errors_allowed(count, rate)

    if allowed is not None:
        assert chance_of_at_most(allowed, count, rate) <= RISK * (1 + 1e-9)
    beyond = 0 if allowed is None else allowed + 1
    assert chance_of_at_most(beyond, count, rate) > RISK * (1 - 1e-9)


@given(st.integers(1, 200), st.data())
def test_an_upper_bound_is_the_rate_at_which_so_few_errors_are_just_too_rare(
    count: int, data: st.DataObject
) -> None:
    errors = data.draw(st.integers(0, count - 1))

    bound = upper_bound(errors, count)

    assert errors / count < bound < 1.0
    assert float(chance_of_at_most(errors, count, bound)) == pytest.approx(RISK, rel=1e-6)


def test_all_in_error_leave_no_bound_but_one() -> None:
    assert upper_bound(7, 7) == 1.0
    assert lower_bound(0, 7) == 0.0


def test_an_interval_is_clopper_and_pearsons() -> None:
    # Equal tails of the Beta distribution: 190 of 200, as statistical tables give it.
    low, high = interval(190, 200)

    assert (low, high) == pytest.approx((0.90997, 0.97577), abs=1e-5)


@given(st.integers(59, 2000), st.sampled_from([0.05, 0.1, 0.3]))
def test_what_is_allowed_is_what_the_bound_proves(count: int, rate: float) -> None:
    allowed = errors_allowed(count, rate)

    assert allowed is not None
    assert upper_bound(allowed, count) <= rate < upper_bound(allowed + 1, count)


@dataclass(frozen=True)
class Known:
    """Scores whose share at or above a cut is known."""

    draw: Draw
    share_from: Callable[[float], float]
    is_continuous: bool = True

    def share_below(self, cut: float) -> float:
        return 1.0 - self.share_from(cut)


EVEN = Known(
    draw=lambda generator, size: generator.uniform(size=size),
    share_from=lambda cut: 1.0 - cut,
)
CROWDED_AT_BOTH_ENDS = Known(  # the arcsine distribution
    draw=lambda generator, size: np.sin(0.5 * np.pi * generator.uniform(size=size)) ** 2,
    share_from=lambda cut: 1.0 - 2 / math.pi * math.asin(math.sqrt(cut)),
)
WITH_TIES = Known(
    draw=lambda generator, size: generator.integers(0, 40, size=size) / 40,
    share_from=lambda cut: sum(step / 40 >= cut for step in range(40)) / 40,
    is_continuous=False,
)


@pytest.mark.parametrize("known", [EVEN, CROWDED_AT_BOTH_ENDS, WITH_TIES])
@pytest.mark.parametrize(
    ("count", "rate"), [(299, 0.01), (1000, 0.02), (1000, 0.05), (200, 0.1), (59, 0.05)]
)
def test_the_promise_of_a_cut_holds_as_often_as_it_says(
    known: Known, count: int, rate: float
) -> None:
    generator = np.random.default_rng(20)
    allowed = errors_allowed(count, rate)
    assert allowed is not None
    chance = 1.0 - float(chance_of_at_most(allowed, count, rate))

    kept_above = kept_below = 0
    for _ in range(REPETITIONS):
        sample = known.draw(generator, count)
        above = cut_above(sample, errors=allowed)
        kept_above += above is None or known.share_from(above) <= rate
        kept_below += known.share_below(cut_below(sample, errors=allowed)) <= rate

    for kept in (kept_above, kept_below):
        low, high = interval(kept, REPETITIONS, risk=SURPRISE)
        assert chance >= 1.0 - RISK
        assert low <= chance <= high if known.is_continuous else high >= chance


def test_a_quantile_of_the_sample_would_break_the_promise() -> None:
    """The same check has to fail for the naive cut, or it would show nothing."""
    generator = np.random.default_rng(20)
    rate, count = 0.02, 1000

    kept = 0
    for _ in range(REPETITIONS):
        cut = float(np.quantile(EVEN.draw(generator, count), 1 - rate))
        kept += EVEN.share_from(cut) <= rate

    assert interval(kept, REPETITIONS, risk=SURPRISE)[1] < 1.0 - RISK


@given(st.lists(st.floats(0, 1), min_size=5, max_size=30), st.integers(0, 4))
def test_a_cut_lets_no_more_errors_through_than_allowed(drawn: list[float], errors: int) -> None:
    scores = np.array(drawn)

    above, below = cut_above(scores, errors=errors), cut_below(scores, errors=errors)

    assert above is None or np.sum(scores >= above) <= errors
    assert np.sum(scores < below) <= errors
    assert 0.0 <= below <= 1.0
    assert above is None or 0.0 < above <= 1.0


def test_a_cut_keeps_its_distance_from_the_score_that_it_was_placed_at() -> None:
    scores = np.array([0.2, 0.4, 0.6, 0.8])

    assert cut_above(scores, errors=1) == pytest.approx(0.6 + 1 / STEPS, abs=1e-9)
    assert cut_below(scores, errors=1) == pytest.approx(0.4 - 1 / STEPS, abs=1e-9)


def test_there_is_no_cut_above_a_score_of_one() -> None:
    assert cut_above(np.array([0.1, 1.0]), errors=0) is None
    assert cut_above(np.array([0.1, 1.0]), errors=1) == pytest.approx(0.1, abs=2 / STEPS)
    assert cut_above(np.array([0.1, 0.9999999]), errors=0) == 1.0
