"""What a batch of any size will take, from those that ran."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.service.run_times import RunTimes


def after(*batches: tuple[int, float]) -> RunTimes:
    run_times = RunTimes()
    for size, run_s in batches:
        run_times.ran(size, run_s)
    return run_times


def test_nothing_is_expected_before_the_first_batch() -> None:
    assert RunTimes().within_s(8) == 0


def test_other_sizes_are_in_proportion_while_one_is_known() -> None:
    run_times = after((4, 0.2), (4, 0.2))

    assert [run_times.within_s(n) for n in (1, 4, 8)] == pytest.approx([0.05, 0.2, 0.4])


@given(
    batch_s=st.floats(0, 1),
    frame_s=st.floats(0.001, 1),
    sizes=st.lists(st.integers(1, 32), min_size=2, max_size=50),
)
def test_a_line_is_found_from_any_two_sizes(
    batch_s: float, frame_s: float, sizes: list[int]
) -> None:
    sizes = [*sizes, 1, 32]
    run_times = after(*[(n, batch_s + n * frame_s) for n in sizes] * 60)

    for size in (1, 8, 32):
        assert run_times.within_s(size) == pytest.approx(batch_s + size * frame_s, rel=0.15)


def test_what_varies_is_given_more_time_than_it_takes_on_average() -> None:
    chance = random.Random(7)
    took = [chance.uniform(0.1, 0.3) for _ in range(300)]

    run_times = after(*[(8, run_s) for run_s in took])

    assert sum(run_s <= run_times.within_s(8) for run_s in took) > 0.9 * len(took)


@given(st.lists(st.tuples(st.integers(1, 32), st.floats(0.001, 10)), min_size=1, max_size=60))
def test_a_larger_batch_is_never_expected_sooner_and_none_in_no_time(
    batches: list[tuple[int, float]],
) -> None:
    run_times = after(*batches)

    expected = [run_times.within_s(size) for size in range(1, 33)]

    assert expected == sorted(expected)
    assert expected[0] > 0


def test_the_latest_count_most() -> None:
    run_times = after(*[(8, 1.0)] * 50, *[(8, 0.1)] * 100)

    assert run_times.within_s(8) == pytest.approx(0.1, rel=0.05)


def test_distrust_leaves_a_share_of_everything() -> None:
    run_times = after((1, 0.1), (8, 0.5), (4, 0.9))
    expected = [run_times.within_s(size) for size in (1, 8)]

    run_times.distrust(0.5)

    assert [run_times.within_s(size) for size in (1, 8)] == pytest.approx(
        [half / 2 for half in expected]
    )
