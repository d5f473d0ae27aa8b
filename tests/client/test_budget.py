"""When a request is tried again, and how long it waits."""

import grpc
import pytest

from moderation.client.budget import Budget
from moderation.client.errors import ServiceUnavailable

GONE = ServiceUnavailable(grpc.StatusCode.UNAVAILABLE, "nobody listens")


class Clock:
    """Time that passes only when it is waited for."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def pauses(budget: Budget, clock: Clock, error: ServiceUnavailable) -> list[float]:
    """The pauses until the budget gives up."""
    taken: list[float] = []
    while (pause_s := budget.pause_before_retry(error)) is not None:
        clock.now_s += pause_s
        taken.append(pause_s)
    return taken


def test_a_service_that_is_gone_is_asked_for_half_of_the_time_with_growing_pauses() -> None:
    clock = Clock()

    taken = pauses(Budget(60.0, clock=clock), clock, GONE)

    assert 28.0 - 2.4 < sum(taken) < 30.0
    assert taken[0] == pytest.approx(0.2, rel=0.2)
    assert taken[:4] == sorted(taken[:4])
    assert max(taken) <= 2.0 * 1.2


def test_no_time_is_spent_on_waiting_where_none_is_set_aside() -> None:
    clock = Clock()

    assert pauses(Budget(10.0, outage_share=0.0, clock=clock), clock, GONE) == []


def test_a_service_that_is_gone_may_say_when_it_is_back() -> None:
    told = ServiceUnavailable(grpc.StatusCode.UNAVAILABLE, "draining", retry_after_s=3.0)

    pause_s = Budget(10.0, clock=Clock()).pause_before_retry(told)

    assert pause_s == pytest.approx(3.3, abs=0.3)
