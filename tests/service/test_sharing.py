"""Work that several want is done once, and belongs to none of them."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.service.lanes import Priority, Urgency
from moderation.service.sharing import SharedWork


class Kitchen:
    """Cooks what is ordered once it is told to, and remembers each start and end."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.started: list[str] = []
        self.finished: list[str] = []
        self.urgencies: list[Urgency] = []
        self.shared: SharedWork[str, str] = SharedWork()

    async def order(self, dish: str, urgency: Urgency | None = None) -> str:
        return await self.shared.result(
            dish, urgency or Urgency(), lambda common: self._cook(dish, common)
        )

    async def _cook(self, dish: str, urgency: Urgency) -> str:
        self.started.append(dish)
        self.urgencies.append(urgency)
        await self.ready.wait()
        if dish == "burnt":
            raise RuntimeError("burnt")
        self.finished.append(dish)
        return f"a plate of {dish}"


class Picture:
    """Something large that is to go as soon as nobody needs it."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def test_those_who_come_meanwhile_share_one_result() -> None:
    kitchen = Kitchen()
    orders = [asyncio.create_task(kitchen.order("soup")) for _ in range(3)]
    await settle()
    assert kitchen.shared.is_under_way("soup")

    kitchen.ready.set()

    assert await asyncio.gather(*orders) == ["a plate of soup"] * 3
    assert kitchen.started == ["soup"]
    assert not kitchen.shared.is_under_way("soup")


async def test_a_first_caller_that_leaves_fails_nobody() -> None:
    kitchen = Kitchen()
    first = asyncio.create_task(kitchen.order("soup"))
    await settle()
    second = asyncio.create_task(kitchen.order("soup"))
    await settle()

    first.cancel()
    await settle()
    kitchen.ready.set()

    assert await second == "a plate of soup"
    assert first.cancelled()
    assert kitchen.started == ["soup"]


async def test_when_the_last_caller_leaves_the_work_ends_and_newcomers_begin_anew() -> None:
    kitchen = Kitchen()
    leaving = [asyncio.create_task(kitchen.order("soup")) for _ in range(2)]
    await settle()

    for order in leaving:
        order.cancel()
    await asyncio.wait(leaving)
    newcomer = asyncio.create_task(kitchen.order("soup"))
    await settle()
    kitchen.ready.set()

    assert await newcomer == "a plate of soup"
    assert kitchen.started == ["soup", "soup"]
    assert kitchen.finished == ["soup"]


async def test_all_callers_get_the_failure_and_the_next_one_tries_again() -> None:
    kitchen = Kitchen()
    orders = [asyncio.create_task(kitchen.order("burnt")) for _ in range(2)]
    await settle()
    kitchen.ready.set()

    outcomes = await asyncio.gather(*orders, return_exceptions=True)

    assert [str(outcome) for outcome in outcomes] == ["burnt", "burnt"]
    with pytest.raises(RuntimeError):
        await kitchen.order("burnt")
    assert kitchen.started == ["burnt", "burnt"]


async def test_the_work_is_as_urgent_as_its_most_urgent_caller() -> None:
    kitchen = Kitchen()
    patient = asyncio.create_task(kitchen.order("soup", Urgency(Priority.BULK, 3.0)))
    await settle()
    hasty = asyncio.create_task(kitchen.order("soup", Urgency(Priority.INTERACTIVE, 5.0)))
    await settle()

    assert kitchen.urgencies == [Urgency(Priority.INTERACTIVE, 5.0)]
    kitchen.ready.set()
    await asyncio.gather(patient, hasty)


@given(
    dishes=st.lists(st.sampled_from(["soup", "bread", "burnt"]), min_size=1, max_size=12),
    leaving=st.sets(st.integers(0, 11)),
    pauses=st.lists(st.integers(0, 5), min_size=12, max_size=12),
    done_after=st.integers(0, 8),
)
def test_whatever_the_interleaving_each_gets_its_own_dish_or_its_own_cancellation(
    dishes: list[str], leaving: set[int], pauses: list[int], done_after: int
) -> None:
    outcomes = asyncio.run(interleave(dishes, leaving, pauses, done_after))

    for number, (dish, outcome) in enumerate(zip(dishes, outcomes, strict=True)):
        if isinstance(outcome, asyncio.CancelledError):
            assert number in leaving
        elif dish == "burnt":
            assert isinstance(outcome, RuntimeError)
        else:
            assert outcome == f"a plate of {dish}"


async def interleave(
    dishes: list[str], leaving: set[int], pauses: list[int], done_after: int
) -> list[str | BaseException]:
    kitchen = Kitchen()

    async def call(number: int) -> str:
        for _ in range(pauses[number]):
            await asyncio.sleep(0)
        return await kitchen.order(dishes[number])

    callers = [asyncio.create_task(call(number)) for number in range(len(dishes))]
    for step in range(done_after):
        await asyncio.sleep(0)
        if step in leaving and step < len(callers):
            callers[step].cancel()
    kitchen.ready.set()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)
    await settle()
    assert not any(kitchen.shared.is_under_way(dish) for dish in dishes)
    return outcomes


@pytest.mark.usefixtures("no_collector")
async def test_work_that_fails_keeps_nothing_alive() -> None:
    shared: SharedWork[str, str] = SharedWork()

    async def refuse(picture: Picture) -> str:
        raise ValueError(f"no use for {type(picture).__name__}")

    async def judge(picture: Picture) -> None:
        with pytest.raises(ValueError, match="no use"):
            await shared.result("key", Urgency(), lambda _: refuse(picture))

    picture = Picture()
    gone = weakref.ref(picture)
    await judge(picture)
    del picture
    await settle()

    assert gone() is None
