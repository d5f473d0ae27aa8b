"""Recent embeddings are kept off the way of requests, and never at their cost."""

import asyncio
import logging
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from moderation.service.recent import RecentKeeper, keep_nothing
from tests.fakes import embedding_of
from tests.service.recent import FakeRecentContents, RecentContentsContract

GUN = embedding_of("a gun")[None]


class TestFakeRecentContents(RecentContentsContract):
    @pytest.fixture
    def store(self) -> FakeRecentContents:
        return FakeRecentContents()


@asynccontextmanager
async def keeping(
    store: FakeRecentContents, *, max_waiting: int = 100, expire_every_s: float = 60.0
) -> AsyncIterator[RecentKeeper]:
    with ThreadPoolExecutor(1) as executor:
        keeper = RecentKeeper(
            store, executor=executor, max_waiting=max_waiting, expire_every_s=expire_every_s
        )
        async with keeper:
            yield keeper


async def test_all_that_is_offered_is_kept_in_order_before_the_end() -> None:
    store = FakeRecentContents()

    async with keeping(store) as keeper:
        for number in range(10):
            keeper.offer(f"c{number}", GUN)
            await asyncio.sleep(0)

    assert store.kept == [f"c{number}" for number in range(10)]
    assert keeper.left_out == 0


async def test_what_finds_no_room_is_left_out_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FakeRecentContents()

    with caplog.at_level(logging.WARNING):
        async with keeping(store, max_waiting=2) as keeper:
            for number in range(5):
                keeper.offer(f"c{number}", GUN)

    assert store.kept == ["c0", "c1"]
    assert keeper.left_out == 3
    assert len(caplog.records) == 1
    assert "more arrive than can be written" in caplog.text


async def test_a_store_that_fails_costs_only_what_it_failed_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FakeRecentContents(fails_on="a")
    with caplog.at_level(logging.WARNING):
        async with keeping(store) as keeper:
            store.gate.close()
            keeper.offer("a", GUN)
            await store.gate.reached()
            keeper.offer("b", GUN)
            store.gate.open()

    assert store.kept == ["b"]
    assert keeper.left_out == 1
    assert "No space left on device" in caplog.text


async def test_what_grows_old_is_forgotten_without_a_request() -> None:
    store = FakeRecentContents()

    async with keeping(store, expire_every_s=0.001):
        for _ in range(3):
            store.gate.close()
            await store.gate.reached()
            store.gate.open()


async def test_what_is_offered_while_the_store_is_busy_is_kept_next() -> None:
    store = FakeRecentContents()
    async with keeping(store) as keeper:
        store.gate.close()
        keeper.offer("a", GUN)
        await store.gate.reached()
        keeper.offer("b", GUN)
        store.gate.open()

    assert store.kept == ["a", "b"]


async def test_a_keeper_that_never_ran_ends_quietly() -> None:
    with ThreadPoolExecutor(1) as executor:
        keeper = RecentKeeper(FakeRecentContents(), executor=executor)

        await keeper.__aexit__(None, None, None)


def test_a_service_keeps_nothing_unless_it_is_told_to() -> None:
    keep_nothing("a", GUN)
