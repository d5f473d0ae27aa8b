"""Items of a stream are worked on side by side, and never more than the limit of them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.grpc.streaming import map_unordered
from moderation.core.errors import DeadlineExceeded


async def numbers(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


@given(count=st.integers(0, 30), limit=st.integers(1, 8), turns=st.data())
def test_every_item_is_answered_once_within_the_limit(
    count: int, limit: int, turns: st.DataObject
) -> None:
    waits = turns.draw(st.lists(st.integers(0, 4), min_size=count, max_size=count))
    under_way: set[int] = set()
    most = 0

    async def work(item: int) -> int:
        nonlocal most
        under_way.add(item)
        most = max(most, len(under_way))
        for _ in range(waits[item]):
            await asyncio.sleep(0)
        under_way.discard(item)
        return item

    async def collect() -> list[int]:
        return [item async for item in map_unordered(numbers(count), work, limit=limit)]

    answered = asyncio.run(collect())

    assert sorted(answered) == list(range(count))
    assert most <= limit


async def test_a_quick_item_overtakes_a_slow_one() -> None:
    slow_may_end = asyncio.Event()

    async def work(item: int) -> int:
        if item == 0:
            await slow_may_end.wait()
        return item

    async with aclosing(map_unordered(numbers(2), work, limit=2)) as results:
        first = await anext(results)
        slow_may_end.set()
        second = await anext(results)

    assert (first, second) == (1, 0)


async def test_nothing_more_is_taken_while_results_wait_to_be_read() -> None:
    taken: list[int] = []

    async def source() -> AsyncIterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    async def work(item: int) -> int:
        return item

    async with aclosing(map_unordered(source(), work, limit=4)) as results:
        await anext(results)
        for _ in range(50):
            await asyncio.sleep(0)

    assert len(taken) <= 5


async def test_leaving_early_cancels_what_is_under_way() -> None:
    cancelled: list[int] = []
    all_started = asyncio.Event()

    async def work(item: int) -> int:
        if item == 0:
            await all_started.wait()
            return item
        if item == 2:
            all_started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    async with aclosing(map_unordered(numbers(3), work, limit=3)) as results:
        await anext(results)

    assert sorted(cancelled) == [1, 2]


async def test_an_error_in_the_source_reaches_the_reader() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        raise ConnectionError("the sender went away")

    async def work(item: int) -> int:
        return item

    with pytest.raises(ConnectionError):
        async for _ in map_unordered(broken(), work, limit=2):
            pass


async def test_a_stream_on_which_nothing_comes_is_given_up() -> None:
    async def nothing() -> AsyncIterator[int]:
        await asyncio.Event().wait()
        yield 0

    async def work(item: int) -> int:
        return item

    with pytest.raises(DeadlineExceeded, match=r"no image came for 0\.01 s"):
        async with aclosing(map_unordered(nothing(), work, limit=1, idle_s=0.01)) as results:
            await anext(results)


async def test_a_stream_is_not_idle_while_something_is_under_way() -> None:
    async def one_and_then_nothing() -> AsyncIterator[int]:
        yield 7
        await asyncio.Event().wait()

    async def slowly(item: int) -> int:
        await asyncio.sleep(0.1)
        return item

    slow = map_unordered(one_and_then_nothing(), slowly, limit=2, idle_s=0.01)
    async with aclosing(slow) as results:
        assert await anext(results) == 7
