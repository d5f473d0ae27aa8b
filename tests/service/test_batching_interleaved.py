"""Whatever comes, leaves and fails, in whatever order: to each caller its own."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import EncodingFailed
from moderation.service.batching import Batcher
from tests.fakes import RecordingTelemetry
from tests.service.doubler import CULPRIT, Doubler, results


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "inference") as pool:
        yield pool


@given(
    groups=st.lists(st.lists(st.integers(0, 20), max_size=5), min_size=1, max_size=12),
    leaving=st.sets(st.integers(0, 11)),
    pauses=st.lists(st.integers(0, 4), min_size=12, max_size=12),
    batches_in_flight=st.integers(1, 2),
)
def test_whatever_the_interleaving_every_caller_gets_its_own_results_or_its_own_error(
    executor: Executor,
    groups: list[list[int]],
    leaving: set[int],
    pauses: list[int],
    batches_in_flight: int,
) -> None:
    doubler = Doubler()

    async def call(batcher: Batcher[int, int], number: int) -> list[int]:
        for _ in range(pauses[number]):
            await asyncio.sleep(0)
        return results(await batcher.submit(groups[number]))

    async def interleave() -> list[list[int] | BaseException]:
        batcher = Batcher(
            doubler,
            executor=executor,
            telemetry=RecordingTelemetry(),
            max_batch_size=4,
            max_queue_size=100,
            batches_in_flight=batches_in_flight,
        )
        async with batcher:
            callers = [asyncio.create_task(call(batcher, n)) for n in range(len(groups))]
            await asyncio.sleep(0)
            for number in leaving & set(range(len(groups))):
                callers[number].cancel()
            return await asyncio.gather(*callers, return_exceptions=True)

    outcomes = asyncio.run(interleave())

    for number, (group, outcome) in enumerate(zip(groups, outcomes, strict=True)):
        if isinstance(outcome, asyncio.CancelledError):
            assert number in leaving
        elif CULPRIT in group:
            assert isinstance(outcome, EncodingFailed)
        else:
            assert outcome == [2 * item for item in group]
    assert all(1 <= len(batch) <= 4 for batch in doubler.batches)
