"""Gathers what waits into batches: no timer, a bound, and nobody pays for another's failure.

While a batch runs, newcomers gather; the next batch takes whatever waits, up to
`max_batch_size`. An idle service thus answers at once and a busy one in full
batches, without a delay to tune. What cannot be ready by its deadline is not
started, and a batch is no larger than the deadlines of those in it allow: under
overload the encoder works for those only who still wait.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from moderation.core.errors import (
    DeadlineExceeded,
    EncodingFailed,
    ModerationError,
    NotReady,
    Overloaded,
)
from moderation.service.lanes import Lanes, Urgency
from moderation.service.outcomes import ShedReason
from moderation.service.ports import Telemetry
from moderation.service.run_times import RunTimes

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRY_AFTER_S = 0.5
BULK_SHARE = 0.25
PATIENCE = 0.5
"""What is left of the expected run time each time that all is given up because of it: one slow
run must not be the reason for which no other is tried."""


@dataclass(frozen=True, slots=True)
class Batched(Generic[Result]):
    """A result, with how long its item waited and how long its batch ran, in seconds."""

    result: Result
    queue_s: float
    run_s: float


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Batched[Result]]
    entered_at: float
    urgency: Urgency


class Batcher(Generic[Item, Result]):
    """Runs `run_batch` on `executor` for items that callers submit one group at a time.

    At most `max_queue_size` items wait in each lane, of which bulk has `bulk_share` of the
    places in a batch at least; `batches_in_flight` batches run at once.
    """

    def __init__(  # noqa: PLR0913 - each is a setting, and all but the first are keywords
        self,
        run_batch: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        executor: Executor,
        telemetry: Telemetry,
        max_batch_size: int,
        max_queue_size: int,
        batches_in_flight: int = 1,
        bulk_share: float = BULK_SHARE,
    ) -> None:
        self._run_batch = run_batch
        self._executor = executor
        self._telemetry = telemetry
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._batches_in_flight = batches_in_flight
        self._lanes: Lanes[_Entry[Item, Result]] = Lanes(bulk_share=bulk_share)
        self._run_times = RunTimes()
        self._changed = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._open = False

    async def __aenter__(self) -> Self:
        """Start taking items."""
        self._open = True
        self._loops = [asyncio.create_task(self._run()) for _ in range(self._batches_in_flight)]
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take no more items, finish those that wait, stop.

        If cancelled, whoever still waits is told so with NotReady.
        """
        self._open = False
        self._changed.set()
        try:
            await asyncio.gather(*self._loops)
        finally:
            _fail(self._lanes.take(len(self._lanes)), NotReady("the encoder was stopped"))

    async def submit(
        self, items: Sequence[Item], urgency: Urgency | None = None
    ) -> list[Batched[Result]]:
        """Results in the order of the items.

        Raises Overloaded if not all of them find room, here or in the device's memory,
        DeadlineExceeded if they cannot be ready in time, NotReady when closed, and
        EncodingFailed if an item fails on its own. A cancelled caller's items are skipped.
        """
        urgency = urgency or Urgency()
        if not self._open:
            raise NotReady("the encoder is not running")
        # A group alone is always let in: a longer one than the queue would never find room.
        waiting = self._lanes.waiting(urgency.priority)
        if waiting and waiting + len(items) > self._max_queue_size:
            self._telemetry.shed(ShedReason.QUEUE_FULL)
            raise Overloaded(f"{waiting} frames wait already", retry_after_s=RETRY_AFTER_S)
        loop = asyncio.get_running_loop()
        now = loop.time()
        entries: list[_Entry[Item, Result]] = [
            _Entry(item, loop.create_future(), now, urgency) for item in items
        ]
        self._lanes.add(entries)
        self._changed.set()
        self._telemetry.queue_changed(len(self._lanes))
        futures = [entry.future for entry in entries]
        try:
            return await asyncio.gather(*futures)
        finally:
            for future in futures:  # of a group that failed or left, the rest is not wanted
                future.cancel()

    async def _run(self) -> None:
        while self._open or self._lanes:
            if batch := self._take():
                try:
                    await self._answer(batch)
                finally:  # only a stop that lost its patience leaves any without an answer
                    _fail(batch, NotReady("the encoder was stopped"))
            elif self._open:
                self._changed.clear()
                await self._changed.wait()

    def _take(self) -> list[_Entry[Item, Result]]:
        """What waits, up to a full batch, less what nobody can use any more."""
        self._lanes.remove(lambda entry: entry.future.done())  # their callers left
        self._give_up_late()
        size = self._size()
        batch = self._lanes.take(size, self._in_time(size))
        self._telemetry.queue_changed(len(self._lanes))
        return batch

    def _give_up_late(self) -> None:
        alone = self._in_time(1)
        late = self._lanes.remove(lambda entry: not alone(entry))
        if late and not self._lanes:
            self._run_times.distrust(PATIENCE)
        for _ in {id(entry.urgency) for entry in late}:  # once a request, not once a frame
            self._telemetry.shed(ShedReason.DEADLINE)
        _fail(late, DeadlineExceeded("the encoder would not have been ready in time"))

    def _in_time(self, size: int) -> Callable[[_Entry[Item, Result]], bool]:
        """Whether an entry is ready by its deadline if it goes now, in a batch of so many."""
        ready_at = asyncio.get_running_loop().time() + self._run_times.within_s(size)
        return lambda entry: entry.urgency.deadline >= ready_at

    def _size(self) -> int:
        """Of the next batch."""
        sizes = range(min(self._max_batch_size, len(self._lanes)), 0, -1)
        if len(self._lanes) > self._max_batch_size:
            # Some must wait for another batch, and it cannot be helped if they are late then.
            return self._most_in_time(sizes)
        return next((n for n in sizes if all(map(self._in_time(n), self._lanes.next(n)))), 1)

    def _most_in_time(self, sizes: Sequence[int]) -> int:
        """The size by which the most a second are ready by their deadlines."""
        # Looked up once for all sizes: the event loop waits for this before each batch.
        now, deadlines = asyncio.get_running_loop().time(), self._lanes.deadlines()

        def in_time_per_s(size: int) -> float:
            run_s = self._run_times.within_s(size)
            in_time = len(deadlines) - bisect_left(deadlines, now + run_s)
            return min(size, in_time) / (run_s or 1.0)

        return max(sizes, key=in_time_per_s)

    async def _answer(self, entries: Sequence[_Entry[Item, Result]]) -> None:
        loop = asyncio.get_running_loop()
        started = loop.time()
        items = [entry.item for entry in entries]
        try:
            results = await loop.run_in_executor(self._executor, self._run_whole, items)
        except Exception as error:  # whatever the encoder raises must not end the loop
            await self._answer_failure(entries, error)
            return
        run_s = loop.time() - started
        self._run_times.ran(len(entries), run_s)
        self._telemetry.batch_encoded(len(entries), run_s)
        for entry, result in zip(entries, results, strict=True):
            if not entry.future.done():  # the caller may have gone away while we ran
                entry.future.set_result(Batched(result, started - entry.entered_at, run_s))

    def _run_whole(self, items: Sequence[Item]) -> Sequence[Result]:
        results = self._run_batch(items)
        if len(results) != len(items):  # pairing them up would hand out another item's result
            raise EncodingFailed(f"{len(items)} items gave {len(results)} results")
        return results

    async def _answer_failure(
        self, entries: Sequence[_Entry[Item, Result]], error: Exception
    ) -> None:
        # Overloaded is nobody's own failure: one by one they would only ask for more of the same.
        if len(entries) == 1 or isinstance(error, Overloaded):
            _fail(entries, _failure(error))
            return
        for entry in entries:  # one by one, so that only the culprit fails
            if not entry.future.done():
                await self._answer([entry])


def _failure(error: Exception) -> ModerationError:
    if isinstance(error, EncodingFailed | Overloaded):
        return error
    failure = EncodingFailed(f"the encoder failed with {type(error).__name__}")
    failure.__cause__ = error
    return failure


def _fail(entries: Iterable[_Entry[Item, Result]], error: ModerationError) -> None:
    for entry in entries:
        if not entry.future.done():
            entry.future.set_exception(error)
