"""A share and its interval, against values published elsewhere and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.proportions import Share


@pytest.mark.parametrize(
    ("count", "total", "low", "high"),
    # Newcombe 1998, Statistics in Medicine 17, 857-872, table I, method 3.
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_is_wilson_s(count: int, total: int, low: float, high: float) -> None:
    assert Share(count, total).interval == pytest.approx((low, high), abs=5e-5)


def test_of_nothing_nothing_is_known() -> None:
    assert Share(0, 0).rate == 0.0
    assert Share(0, 0).interval == (0.0, 1.0)


def test_all_reaches_up_to_one() -> None:
    assert Share(20, 20).interval[1] == 1.0


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_the_interval_holds_the_rate_and_stays_within_bounds(count: int, total: int) -> None:
    share = Share(min(count, total), total)
    low, high = share.interval

    assert 0.0 <= low <= share.rate <= high <= 1.0


def test_the_interval_holds_the_truth_about_as_often_as_promised() -> None:
    truth, samples = 0.03, 2000
    counts = np.random.default_rng(5).binomial(400, truth, size=samples)

    intervals = [Share(int(count), 400).interval for count in counts]

    held = sum(low <= truth <= high for low, high in intervals) / samples
    assert 0.93 <= held <= 0.98


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3)])
def test_what_cannot_be_counted_is_refused(count: int, total: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        Share(count, total)
