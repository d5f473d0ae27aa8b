"""When a worker that died is replaced, and when that has no sense any more."""

import pytest

from moderation.service.supervision import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    MAX_QUICK_DEATHS,
    QUICK_S,
    Restarts,
    WorkersLost,
    death,
)


def test_one_that_lived_long_is_replaced_at_once() -> None:
    restarts = Restarts()

    pauses = [restarts.died(QUICK_S) for _ in range(20)]

    assert pauses == [FIRST_PAUSE_S] * 20
    assert not restarts.is_hopeless


def test_quick_deaths_make_longer_and_longer_pauses_up_to_a_limit() -> None:
    restarts = Restarts()

    pauses = [restarts.died(0.5) for _ in range(12)]

    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses[-1] == LONGEST_PAUSE_S


def test_so_many_quick_deaths_in_a_row_are_hopeless() -> None:
    restarts = Restarts()

    hopeless = []
    for _ in range(MAX_QUICK_DEATHS):
        restarts.died(0.5)
        hopeless.append(restarts.is_hopeless)

    assert hopeless == [False] * (MAX_QUICK_DEATHS - 1) + [True]


def test_a_long_life_makes_up_for_earlier_deaths() -> None:
    restarts = Restarts()
    for _ in range(MAX_QUICK_DEATHS):
        restarts.died(0.5)

    pause_s = restarts.died(QUICK_S + 1)

    assert pause_s == FIRST_PAUSE_S
    assert not restarts.is_hopeless


@pytest.mark.parametrize(("code", "words"), [(-9, "signal 9"), (78, "exit code 78")])
def test_a_death_in_words(code: int, words: str) -> None:
    assert death(code) == words


def test_the_end_of_all_has_a_code_for_the_supervisor_s_own_supervisor() -> None:
    error = WorkersLost("all gone", 70)

    assert (str(error), error.exit_code) == ("all gone", 70)
