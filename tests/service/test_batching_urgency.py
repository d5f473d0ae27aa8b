"""What is urgent goes first, and what would be too late does not go at all."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import count

import pytest

from moderation.core.errors import DeadlineExceeded, Overloaded
from moderation.service.batching import Batched, Batcher
from moderation.service.lanes import Priority, Urgency
from moderation.service.outcomes import ShedReason
from tests.fakes import RecordingTelemetry
from tests.service.doubler import Doubler, results
from tests.service.virtual_time import VirtualThread, run_in_virtual_time

BULK = Priority.BULK


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with ThreadPoolExecutor(1, "inference") as pool:
        yield pool


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


class Busy:
    """A batcher whose first batch runs until the test lets it end; what comes later waits."""

    def __init__(self, executor: Executor, telemetry: RecordingTelemetry) -> None:
        self.doubler = Doubler()
        self.batcher = Batcher(
            self.doubler,
            executor=executor,
            telemetry=telemetry,
            max_batch_size=4,
            max_queue_size=8,
            bulk_share=0.25,
        )

    async def start(self) -> None:
        self.doubler.gate.close()
        self.first = asyncio.create_task(self.batcher.submit([0]))
        await self.doubler.gate.reached()

    async def submit(
        self, items: Sequence[int], urgency: Urgency | None = None
    ) -> asyncio.Task[list[Batched[int]]]:
        """Submit and return once the items wait."""
        submission = asyncio.create_task(self.batcher.submit(items, urgency))
        for _ in range(3):
            await asyncio.sleep(0)
        return submission


@pytest.fixture
def busy(executor: Executor, telemetry: RecordingTelemetry) -> Busy:
    return Busy(executor, telemetry)


async def test_interactive_goes_first_and_bulk_keeps_its_share(busy: Busy) -> None:
    async with busy.batcher:
        await busy.start()
        bulk = await busy.submit(range(30, 36), Urgency(BULK))
        interactive = await busy.submit(range(20, 26))
        busy.doubler.gate.open()
        await asyncio.gather(busy.first, bulk, interactive)

    assert busy.doubler.batches == [
        [0],
        [20, 21, 22, 30],
        [23, 24, 25, 31],
        [32, 33, 34, 35],
    ]


async def test_a_full_lane_of_bulk_turns_no_interactive_request_away(
    busy: Busy, telemetry: RecordingTelemetry
) -> None:
    async with busy.batcher:
        await busy.start()
        bulk = await busy.submit(range(8), Urgency(BULK))
        with pytest.raises(Overloaded, match="8 frames wait already"):
            await busy.batcher.submit([9], Urgency(BULK))
        interactive = await busy.submit([20])
        busy.doubler.gate.open()

        assert results(await interactive) == [40]
        await asyncio.gather(busy.first, bulk)
    assert telemetry.sheds == [ShedReason.QUEUE_FULL]


async def test_what_is_late_before_its_turn_is_given_up_and_never_encoded(
    busy: Busy, telemetry: RecordingTelemetry
) -> None:
    async with busy.batcher:
        await busy.start()
        passed = asyncio.get_running_loop().time()
        late = await busy.submit([1, 2], Urgency(deadline=passed))
        in_time = await busy.submit([3], Urgency(deadline=passed + 60))
        busy.doubler.gate.open()
        with pytest.raises(DeadlineExceeded, match="in time"):
            await late

        assert results(await in_time) == [6]
    assert busy.doubler.batches == [[0], [3]]
    assert telemetry.sheds == [ShedReason.DEADLINE]


async def test_a_deadline_that_moves_while_it_waits_counts_as_it_is_at_its_turn(
    busy: Busy,
) -> None:
    async with busy.batcher:
        await busy.start()
        urgency = Urgency(deadline=asyncio.get_running_loop().time())
        joined = await busy.submit([1], urgency)
        urgency.join(Urgency())
        busy.doubler.gate.open()

        assert results(await joined) == [2]


class Timed:
    """A batcher in virtual time whose encoder takes a second for each item."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self._thread = VirtualThread()
        self.batcher = Batcher(
            self._run,
            executor=self._thread,
            telemetry=RecordingTelemetry(),
            max_batch_size=4,
            max_queue_size=20,
        )

    def _run(self, items: Sequence[int]) -> Sequence[int]:
        self.batches.append([*items])
        self._thread.takes_s += len(items)
        return items

    async def submit_all(self, *deadlines: float, first: int) -> list[bool]:
        """Whether each was ready, of those that are submitted while the first items run."""
        async with self.batcher:
            running = asyncio.create_task(self.batcher.submit([0] * first))
            await asyncio.sleep(0.5)
            outcomes = await asyncio.gather(
                *(
                    self.batcher.submit([number], Urgency(deadline=deadline))
                    for number, deadline in enumerate(deadlines, start=1)
                ),
                return_exceptions=True,
            )
            await running
        return [not isinstance(outcome, DeadlineExceeded) for outcome in outcomes]


def test_a_batch_is_no_larger_than_the_deadlines_of_those_in_it_allow() -> None:
    timed = Timed()

    ready = run_in_virtual_time(timed.submit_all(60.0, 6.5, 60.0, 60.0, first=4))

    assert ready == [True] * 4
    assert timed.batches == [[0] * 4, [1, 2], [3, 4]]


def test_with_more_than_a_batch_waiting_those_go_who_make_the_most_of_it() -> None:
    timed = Timed()

    ready = run_in_virtual_time(timed.submit_all(6.5, *[60.0] * 8, first=4))

    assert ready == [False] + [True] * 8
    assert timed.batches == [[0] * 4, [2, 3, 4, 5], [6, 7, 8, 9]]


def test_what_cannot_be_ready_even_alone_is_given_up() -> None:
    timed = Timed()

    ready = run_in_virtual_time(timed.submit_all(4.5, 60.0, first=4))

    assert ready == [False, True]
    assert timed.batches == [[0] * 4, [2]]


def test_what_cannot_be_ready_in_time_is_not_started_until_that_was_wrong_too_often() -> None:
    thread = VirtualThread()
    encoded: list[int] = []

    def slow(items: Sequence[int]) -> Sequence[int]:
        encoded.extend(items)
        thread.takes_s += 8.0
        return items

    async def submit(batcher: Batcher[int, int], number: int) -> None:
        deadline = asyncio.get_running_loop().time() + 3.0
        await batcher.submit([number], Urgency(deadline=deadline))

    async def scenario() -> int:
        batcher = Batcher(
            slow,
            executor=thread,
            telemetry=RecordingTelemetry(),
            max_batch_size=4,
            max_queue_size=8,
        )
        async with batcher:
            await submit(batcher, 0)  # nothing is known yet; it took 8 s
            for given_up in count():
                try:
                    await submit(batcher, 1)
                except DeadlineExceeded:
                    continue
                return given_up
        raise AssertionError

    given_up = run_in_virtual_time(scenario())

    assert given_up == 2  # 8 s and 4 s are too long for 3 s, 2 s are not
    assert encoded == [0, 1]
