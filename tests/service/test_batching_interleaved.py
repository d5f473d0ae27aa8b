"""Whatever comes, leaves, fails and is late, in whatever order: to each caller its own, once."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import DeadlineExceeded, EncodingFailed
from moderation.service.batching import Batcher
from moderation.service.lanes import Priority, Urgency
from tests.fakes import RecordingTelemetry
from tests.service.doubler import results

CULPRIT = 13
CALLER = 100
"""Items of the caller at place 3 are 301, 302...; every item is there once."""


@dataclass(frozen=True)
class Caller:
    kinds: list[int]
    pause: int
    priority: Priority
    leaves: bool
    is_late: bool

    def items(self, place: int) -> list[int]:
        return [place * CALLER + kind for kind in self.kinds]


CALLERS = st.builds(
    Caller,
    kinds=st.lists(st.integers(0, 20), max_size=5, unique=True),
    pause=st.integers(0, 4),
    priority=st.sampled_from(Priority),
    leaves=st.booleans(),
    is_late=st.booleans(),
)


class UnluckyDoubler:
    """Doubles every item; fails on any batch that holds a culprit."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        if any(item % CALLER == CULPRIT for item in items):
            raise RuntimeError("unlucky")
        return [2 * item for item in items]


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(2, "inference") as pool:
        yield pool


@given(
    callers=st.lists(CALLERS, min_size=1, max_size=12),
    batches_in_flight=st.integers(1, 2),
    bulk_share=st.floats(0, 1),
)
def test_every_caller_gets_its_own_results_or_its_own_error_and_nothing_late_is_started(
    executor: Executor, callers: list[Caller], batches_in_flight: int, bulk_share: float
) -> None:
    doubler = UnluckyDoubler()
    batcher = Batcher(
        doubler,
        executor=executor,
        telemetry=RecordingTelemetry(),
        max_batch_size=4,
        max_queue_size=100,
        batches_in_flight=batches_in_flight,
        bulk_share=bulk_share,
    )

    outcomes = asyncio.run(interleave(batcher, callers))

    for place, (caller, outcome) in enumerate(zip(callers, outcomes, strict=True)):
        require_own(caller, caller.items(place), outcome)
    assert all(1 <= len(batch) <= 4 for batch in doubler.batches)
    encoded = Counter(item for batch in doubler.batches for item in batch)
    assert all(times <= 2 for times in encoded.values())  # the second time alone, after a failure
    late = {item for n, one in enumerate(callers) if one.is_late for item in one.items(n)}
    assert not late & encoded.keys()


async def interleave(
    batcher: Batcher[int, int], callers: list[Caller]
) -> list[list[int] | BaseException]:
    async def call(place: int, caller: Caller) -> list[int]:
        for _ in range(caller.pause):
            await asyncio.sleep(0)
        left_s = -1.0 if caller.is_late else 60.0
        urgency = Urgency(caller.priority, asyncio.get_running_loop().time() + left_s)
        return results(await batcher.submit(caller.items(place), urgency))

    async with batcher:
        tasks = [asyncio.create_task(call(*numbered)) for numbered in enumerate(callers)]
        await asyncio.sleep(0)
        for task, caller in zip(tasks, callers, strict=True):
            if caller.leaves:
                task.cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)


def require_own(caller: Caller, items: list[int], outcome: list[int] | BaseException) -> None:
    if isinstance(outcome, asyncio.CancelledError):
        assert caller.leaves
    elif caller.is_late and items:
        assert isinstance(outcome, DeadlineExceeded)
    elif CULPRIT in caller.kinds:
        assert isinstance(outcome, EncodingFailed)
    else:
        assert outcome == [2 * item for item in items]
