"""Hands embeddings of recent contents to a store, off the way of requests.

A request only leaves its embeddings in a queue with a bound. If the store cannot
keep up or fails, contents are left out and counted: they are a sample for trying
policies on, not a record.
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from types import TracebackType
from typing import Protocol, Self

from moderation.core.content import Embeddings

log = logging.getLogger(__name__)

EXPIRE_EVERY_S = 60.0
MAX_WAITING = 1024


class RecentContents(Protocol):
    """Where recent embeddings are kept. Called from one worker thread."""

    def append(self, contents: Sequence[tuple[str, Embeddings]]) -> None:
        """Keep contents, by id, with their frames float32[n, dim]; may raise OSError."""
        ...

    def expire(self) -> None:
        """Forget what is too old; may raise OSError."""
        ...


class RecentKeeper:
    """Takes what requests offer; a context manager that empties its queue when it ends."""

    def __init__(
        self,
        store: RecentContents,
        *,
        executor: Executor,
        max_waiting: int = MAX_WAITING,
        expire_every_s: float = EXPIRE_EVERY_S,
    ) -> None:
        self._store = store
        self._executor = executor
        self._max_waiting = max_waiting
        self._expire_every_s = expire_every_s
        self._waiting: list[tuple[str, Embeddings]] = []
        self._changed = asyncio.Event()
        self._open = True
        self._task: asyncio.Task[None] | None = None
        self.left_out = 0
        """Contents that were not kept, for want of room or because the store failed."""

    async def __aenter__(self) -> Self:
        """Start keeping."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Keep what waits, and end."""
        self._open = False
        self._changed.set()
        if self._task is not None:
            await self._task

    def offer(self, content_id: str, frames: Embeddings) -> None:
        """Leave a content to be kept; never blocks and never raises."""
        if len(self._waiting) >= self._max_waiting:
            self._leave_out(1, "more arrive than can be written")
            return
        self._waiting.append((content_id, frames))
        self._changed.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._open or self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                if batch:
                    await loop.run_in_executor(self._executor, self._store.append, batch)
                else:
                    await loop.run_in_executor(self._executor, self._store.expire)
            except OSError as error:
                self._leave_out(len(batch), f"they cannot be written: {error.strerror}")
            await self._wait()

    async def _wait(self) -> None:
        """Until something was offered, it is time to expire, or this ends."""
        if self._waiting or not self._open:
            return
        self._changed.clear()
        try:
            async with asyncio.timeout(self._expire_every_s):
                await self._changed.wait()
        except TimeoutError:
            return

    def _leave_out(self, contents: int, why: str) -> None:
        if not self.left_out:  # further lines would only fill the disk
            log.warning(
                "recent embeddings are left out: %s", why, extra={"event": "recent_left_out"}
            )
        self.left_out += contents


def keep_nothing(content_id: str, frames: Embeddings) -> None:
    """What a service does with recent embeddings unless it was told to keep them."""
