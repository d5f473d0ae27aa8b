"""When to look again: never all together, and less often where it brings nothing."""

import pytest

from moderation.adapters.policy_package import Polling
from moderation.adapters.policy_package.polling import pause_s


@pytest.mark.parametrize(
    ("failures", "expected"), [(0, 30), (1, 60), (2, 120), (3, 240), (4, 300), (10_000, 300)]
)
def test_each_failure_doubles_the_pause_within_a_bound(failures: int, expected: float) -> None:
    assert pause_s(30, failures, 0.5) == pytest.approx(expected)


def test_who_looks_seldom_looks_no_less_often() -> None:
    assert pause_s(3600, 5, 0.5) == pytest.approx(3600)


def test_the_pause_varies_by_a_tenth() -> None:
    assert (pause_s(30, 0, 0.0), pause_s(30, 0, 1.0)) == pytest.approx((27, 33))


async def test_each_item_says_first_that_it_is_time_to_look() -> None:
    looks: list[int] = []
    feed = Polling(every_s=0.001, failures=lambda: 0, look_again=lambda: looks.append(1))

    changes = feed.changes()
    await anext(changes)
    await anext(changes)
    await changes.aclose()

    assert len(looks) == 2
