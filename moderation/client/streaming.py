"""One bidirectional call that many items share, and the bound on how many are under way."""

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from typing import Any, TypeAlias, TypeVar

import grpc.aio

from moderation.v1 import moderation_pb2 as pb

ItemT = TypeVar("ItemT")
OutcomeT = TypeVar("OutcomeT")
Call: TypeAlias = "grpc.aio.StreamStreamCall[pb.ModerateStreamRequest, pb.ModerateStreamResponse]"

CLOSING_S = 1.0


class SharedStream:
    """A ModerateStream whose answers find back to whoever asked, by content id."""

    def __init__(self, call: Call, request_id: str = "") -> None:
        self._call = call
        self.request_id = request_id
        """That of the call, and so of all that is asked on it."""
        self._waiting: dict[str, asyncio.Future[pb.ItemResult | None]] = {}
        self._given_up: set[str] = set()
        self._writing = asyncio.Lock()
        self._reader = asyncio.create_task(self._read())

    @property
    def is_broken(self) -> bool:
        """Whether the call has ended, so that no further item can be sent."""
        return self._reader.done()

    async def ask(self, request: pb.ModerateStreamRequest) -> pb.ItemResult | None:
        """The answer to one item; None if the stream broke before there was one."""
        content_id = request.content.content_id
        # Two items of one name cannot be told apart by their answers: one after the other.
        while earlier := self._waiting.get(content_id):
            await asyncio.wait([earlier])
        if self.is_broken or content_id in self._given_up:
            return None
        answer = asyncio.get_running_loop().create_future()
        self._waiting[content_id] = answer
        try:
            return await answer if await self._sent(request) else None
        except asyncio.CancelledError:
            # A late answer must not be taken for that of a later item of the same name.
            self._given_up.add(content_id)
            raise
        finally:
            self._waiting.pop(content_id, None)
            answer.cancel()

    async def _sent(self, request: pb.ModerateStreamRequest) -> bool:
        try:
            async with self._writing:
                await self._call.write(request)
        except (grpc.RpcError, grpc.aio.UsageError, asyncio.InvalidStateError):
            return False
        return True

    async def close(self) -> None:
        """End the call: politely if the server ends it too, at once otherwise."""
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._call.done_writing()
                await asyncio.shield(self._reader)
        except (TimeoutError, grpc.RpcError, asyncio.InvalidStateError):
            pass  # broken or deaf: there is nothing left to be polite to
        finally:
            self._call.cancel()
            await asyncio.wait([self._reader])

    async def _read(self) -> None:
        try:
            async for response in self._call:
                self._deliver(response.result)
        except (grpc.RpcError, asyncio.CancelledError):
            pass  # whoever still waits asks again in a call of its own, and learns why
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_result(None)

    def _deliver(self, result: pb.ItemResult) -> None:
        answer = self._waiting.get(result.content_id)
        if answer is not None and not answer.done():
            answer.set_result(result)


async def as_judged(
    judge: Callable[[ItemT], Awaitable[OutcomeT]],
    items: AsyncIterable[ItemT] | Iterable[ItemT],
    *,
    max_in_flight: int,
) -> AsyncGenerator[OutcomeT, None]:
    """The outcomes in the order in which they are ready.

    No more than `max_in_flight` items are taken from `items` before the first of their
    outcomes has been taken from here.
    """
    slots = asyncio.Semaphore(max_in_flight)
    ready: asyncio.Queue[asyncio.Future[OutcomeT] | None] = asyncio.Queue()
    running: set[asyncio.Future[OutcomeT]] = set()

    async def feed() -> None:
        try:
            await slots.acquire()
            async for item in _as_async(items):
                task = asyncio.ensure_future(judge(item))
                running.add(task)
                task.add_done_callback(ready.put_nowait)
                await slots.acquire()
        finally:
            if running:
                await asyncio.wait(running)
            ready.put_nowait(None)

    feeder = asyncio.create_task(feed())
    try:
        while outcome := await ready.get():
            running.discard(outcome)
            yield outcome.result()
            slots.release()
        await feeder
    finally:
        unfinished: list[asyncio.Future[Any]] = [feeder, *running]
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)


async def _as_async(items: AsyncIterable[ItemT] | Iterable[ItemT]) -> AsyncIterator[ItemT]:
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
