"""A bucket lets through its burst, and its rate in the long run, whatever the pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.rate import TokenBucket


def test_a_burst_goes_through_and_the_next_has_to_wait_for_its_token() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3.0, now=10.0)

    waits = [bucket.take(10.0) for _ in range(4)]

    assert waits == [0.0, 0.0, 0.0, 0.5]
    assert bucket.take(10.25) == 0.25
    assert bucket.take(10.5) == 0.0


def test_to_ask_for_the_wait_takes_no_token() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=1.0, now=10.0)

    assert [bucket.wait_s(10.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    bucket.take(10.0)
    assert bucket.wait_s(10.25) == bucket.take(10.25) == 0.25


def test_a_clock_that_is_set_back_gives_nothing_away() -> None:
    bucket = TokenBucket(rate_per_s=1.0, burst=1.0, now=100.0)

    assert bucket.take(100.0) == 0.0
    assert bucket.take(50.0) == 1.0
    assert bucket.take(50.5) == 0.5


@given(
    rate=st.floats(0.1, 100.0),
    burst=st.floats(1.0, 50.0),
    pauses=st.lists(st.floats(0.0, 2.0), max_size=200),
)
def test_never_more_than_the_burst_and_the_rate(
    rate: float, burst: float, pauses: list[float]
) -> None:
    bucket, now, taken = TokenBucket(rate_per_s=rate, burst=burst, now=0.0), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now) == 0.0

    assert taken <= burst + rate * now + 1e-6


@given(rate=st.floats(0.1, 100.0), spent=st.integers(1, 5))
def test_who_waits_as_told_gets_through(rate: float, spent: int) -> None:
    bucket = TokenBucket(rate_per_s=rate, burst=1.0, now=0.0)
    now = 0.0
    for _ in range(spent):
        now += bucket.take(now) * (1 + 1e-9)

    assert bucket.take(now + 1e-6) == pytest.approx(0.0, abs=1.0 / rate)
