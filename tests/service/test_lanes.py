"""Who goes first: nothing lost, each lane in order, and bulk never starved."""

from dataclasses import dataclass
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.service.lanes import Lanes, Priority, Urgency

INTERACTIVE, BULK = Priority


@dataclass(frozen=True)
class Job:
    number: int
    urgency: Urgency


def job(number: int, priority: Priority) -> Job:
    return Job(number, Urgency(priority))


def lanes_of(*priorities: Priority, bulk_share: float = 0.25) -> Lanes[Job]:
    lanes: Lanes[Job] = Lanes(bulk_share=bulk_share)
    lanes.add(job(number, priority) for number, priority in enumerate(priorities))
    return lanes


def numbers(jobs: list[Job]) -> list[int]:
    return [one.number for one in jobs]


def test_interactive_goes_first_and_bulk_takes_what_is_left() -> None:
    lanes = lanes_of(BULK, INTERACTIVE, BULK, INTERACTIVE, bulk_share=0.0)

    assert numbers(lanes.take(3)) == [1, 3, 0]
    assert numbers(lanes.take(3)) == [2]


def test_bulk_has_its_share_while_interactive_waits() -> None:
    lanes = lanes_of(*[INTERACTIVE] * 8, *[BULK] * 8)

    assert numbers(lanes.take(8)) == [0, 1, 2, 3, 4, 5, 8, 9]


def test_a_share_of_less_than_a_place_is_a_place_now_and_then() -> None:
    lanes = lanes_of(*[INTERACTIVE] * 8, *[BULK] * 8)

    taken = [numbers(lanes.take(1))[0] for _ in range(8)]

    assert [number for number in taken if number >= 8] == [8, 9]


def test_what_bulk_did_not_want_is_not_saved_up() -> None:
    lanes = lanes_of(*[INTERACTIVE] * 40)
    for _ in range(4):
        lanes.take(8)

    lanes.add(job(number, BULK) for number in range(100, 108))

    assert sum(number >= 100 for number in numbers(lanes.take(8))) == 2


def test_what_becomes_urgent_while_it_waits_changes_lanes() -> None:
    lanes = lanes_of(BULK, BULK, INTERACTIVE, bulk_share=0.0)
    waiting = job(9, BULK)
    lanes.add([waiting])

    waiting.urgency.join(Urgency(INTERACTIVE))

    assert numbers(lanes.take(2)) == [2, 9]
    assert numbers(lanes.take(9)) == [0, 1]


def test_unwanted_entries_are_taken_out_of_both_lanes() -> None:
    lanes = lanes_of(INTERACTIVE, BULK, INTERACTIVE, BULK)

    removed = lanes.remove(lambda one: one.number in {0, 3})

    assert numbers(removed) == [0, 3]
    assert (len(lanes), lanes.waiting(INTERACTIVE), lanes.waiting(BULK)) == (2, 1, 1)
    assert numbers(lanes.take(9)) == [2, 1]


def test_who_does_not_fit_is_passed_over_and_keeps_its_place() -> None:
    lanes = lanes_of(INTERACTIVE, INTERACTIVE, INTERACTIVE, BULK, BULK)

    def is_odd(one: Job) -> bool:
        return one.number % 2 == 1

    assert numbers(lanes.take(2, is_odd)) == [1, 3]
    assert numbers(lanes.take(9)) == [0, 2, 4]


def test_deadlines_of_both_lanes_are_in_order() -> None:
    lanes = lanes_of(BULK, INTERACTIVE, BULK)
    for job, deadline in zip(lanes.next(3), (3.0, 1.0, 2.0), strict=True):
        job.urgency.deadline = deadline

    assert lanes.deadlines() == [1.0, 2.0, 3.0]


def test_to_look_at_what_is_next_takes_nothing() -> None:
    lanes = lanes_of(*[INTERACTIVE] * 8, *[BULK] * 8)

    looks = [numbers(lanes.next(8)) for _ in range(5)]

    assert looks == [numbers(lanes.take(8))] * 5


@given(
    priorities=st.lists(st.sampled_from(Priority), max_size=60),
    most=st.integers(1, 9),
    bulk_share=st.floats(0, 1),
)
def test_every_entry_is_taken_once_and_each_lane_keeps_its_order(
    priorities: list[Priority], most: int, bulk_share: float
) -> None:
    lanes = lanes_of(*priorities, bulk_share=bulk_share)

    batches = []
    while lanes:
        batches.append(lanes.take(most))

    taken = [one for batch in batches for one in batch]
    for priority in Priority:
        lane = [one.number for one in taken if one.urgency.priority is priority]
        assert lane == [n for n, wanted in enumerate(priorities) if wanted is priority]
    assert all(len(batch) == most for batch in batches[:-1])


@given(most=st.integers(1, 9), bulk_share=st.floats(0.05, 1), rounds=st.integers(1, 40))
def test_bulk_gets_its_share_of_the_places_to_within_one(
    most: int, bulk_share: float, rounds: int
) -> None:
    lanes = lanes_of(*[INTERACTIVE] * 400, *[BULK] * 400, bulk_share=bulk_share)

    taken = [one for _ in range(rounds) for one in lanes.take(most)]

    n_bulk = sum(one.urgency.priority is BULK for one in taken)
    assert n_bulk == pytest.approx(bulk_share * len(taken), abs=1.0)


def test_joined_work_is_as_urgent_as_the_sooner_and_as_patient_as_the_later() -> None:
    urgency = Urgency(BULK, deadline=5.0)

    urgency.join(Urgency(INTERACTIVE, deadline=3.0))
    assert (urgency.priority, urgency.deadline) == (INTERACTIVE, 5.0)

    urgency.join(Urgency(BULK))
    assert (urgency.priority, urgency.deadline) == (INTERACTIVE, inf)
