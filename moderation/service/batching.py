"""Gathers what waits into batches: no timer, a bound, and nobody pays for another's failure.

While a batch runs, newcomers gather; the next batch takes whatever waits, up to
`max_batch_size`. An idle service thus answers at once and a busy one in full
batches, without a delay to tune.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from moderation.core.errors import EncodingFailed, NotReady, Overloaded
from moderation.service.ports import Telemetry

Item = TypeVar("Item")
Result = TypeVar("Result")

RETRY_AFTER_S = 0.5


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


class Batcher(Generic[Item, Result]):
    """Runs `run_batch` on `executor` for items that callers submit one group at a time.

    At most `max_queue_size` items wait; `batches_in_flight` batches run at once.
    """

    def __init__(
        self,
        run_batch: Callable[[Sequence[Item]], Sequence[Result]],
        *,
        executor: Executor,
        telemetry: Telemetry,
        max_batch_size: int,
        max_queue_size: int,
        batches_in_flight: int = 1,
    ) -> None:
        self._run_batch = run_batch
        self._executor = executor
        self._telemetry = telemetry
        self._max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        self._batches_in_flight = batches_in_flight
        self._queue: asyncio.Queue[_Entry[Item, Result]] = asyncio.Queue(max_queue_size)
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
        """Take no more items, finish those that wait, stop."""
        self._open = False
        await self._queue.join()
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def submit(self, items: Sequence[Item]) -> list[Batched[Result]]:
        """Results in the order of the items.

        Raises Overloaded if not all of them find room, NotReady when closed, and
        EncodingFailed if an item fails on its own. A cancelled caller's items are skipped.
        """
        if not self._open:
            raise NotReady("the encoder is not running")
        if self._queue.qsize() + len(items) > self._max_queue_size:
            self._telemetry.shed("queue_full")
            raise Overloaded(
                f"{self._max_queue_size} frames wait already", retry_after_s=RETRY_AFTER_S
            )
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Batched[Result]]] = []
        for item in items:
            futures.append(loop.create_future())
            self._queue.put_nowait(_Entry(item, futures[-1], loop.time()))
        self._telemetry.queue_changed(self._queue.qsize())
        return await asyncio.gather(*futures)

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._max_batch_size and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            self._telemetry.queue_changed(self._queue.qsize())
            live = [entry for entry in batch if not entry.future.done()]
            try:
                await self._answer(live)
            finally:
                for _ in batch:
                    self._queue.task_done()

    async def _answer(self, entries: Sequence[_Entry[Item, Result]]) -> None:
        if not entries:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        items = [entry.item for entry in entries]
        try:
            results = await loop.run_in_executor(self._executor, self._run_batch, items)
        except Exception as error:  # whatever the encoder raises must not end the loop
            await self._answer_failure(entries, error)
            return
        run_s = loop.time() - started
        self._telemetry.batch_encoded(len(entries), run_s)
        for entry, result in zip(entries, results, strict=True):
            if not entry.future.done():  # the caller may have gone away while we ran
                entry.future.set_result(Batched(result, started - entry.entered_at, run_s))

    async def _answer_failure(
        self, entries: Sequence[_Entry[Item, Result]], error: Exception
    ) -> None:
        if len(entries) > 1:  # one by one, so that only the culprit fails
            for entry in entries:
                if not entry.future.done():
                    await self._answer([entry])
            return
        if not entries[0].future.done():
            failure = EncodingFailed(f"the encoder failed with {type(error).__name__}")
            failure.__cause__ = error
            entries[0].future.set_exception(failure)
