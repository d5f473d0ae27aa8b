"""What contents looked like to the encoder, kept for longer than a process lives."""

import asyncio
from concurrent.futures import Executor
from contextlib import suppress
from types import TracebackType
from typing import Protocol, Self

from moderation.core.content import Embeddings

MAX_WAITING = 1024
"""Contents that wait to be written; of more, the rest is not kept."""


RECALL_S = 0.05
"""Longest wait for what may be kept: about as long as it takes to encode a picture."""
PURGE_EVERY_S = 60.0


class Store(Protocol):
    """Embeddings by the sha256 of a content's bytes; asked on one thread, changed on another."""

    def recall(self, digest: bytes) -> Embeddings | None:
        """What was kept; must not raise."""
        ...

    def keep(self, contents: list[tuple[bytes, Embeddings]]) -> None:
        """Keep these; must not raise."""
        ...

    def purge(self) -> bool:
        """Remove some of what is kept for too long; whether there may be more. Must not raise."""
        ...


class EmbeddingMemory(Protocol):
    """Beyond what the cache holds."""

    async def recall(self, digest: bytes) -> Embeddings | None:
        """Unit rows of the content with this sha256, if they were kept."""
        ...

    def keep(self, digest: bytes, embeddings: Embeddings) -> None:
        """Keep them some time soon, perhaps."""
        ...


class NoMemory:
    """Keeps nothing."""

    async def recall(self, digest: bytes) -> None:
        """See EmbeddingMemory."""

    def keep(self, digest: bytes, embeddings: Embeddings) -> None:
        """See EmbeddingMemory."""


NO_MEMORY = NoMemory()


class StoredEmbeddings:
    """An EmbeddingMemory by a store, while in its context.

    `reading` and `writing` are executors of one thread each: who asks does not wait for what is
    written, nor for long. What comes while the store writes is written together next.
    """

    def __init__(self, store: Store, *, reading: Executor, writing: Executor) -> None:
        self._store = store
        self._reading = reading
        self._writing = writing
        self._waiting: list[tuple[bytes, Embeddings]] = []
        self._writer: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._purging: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin to remove what is kept for too long, now and from time to time."""
        self._purging = asyncio.create_task(self._purge())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Write what waits, and take no more."""
        self._closed.set()
        for task in (self._writer, self._purging):
            if task is not None:
                await task

    async def recall(self, digest: bytes) -> Embeddings | None:
        """See EmbeddingMemory; None too if it takes longer than to encode the content again."""
        if self._closed.is_set():
            return None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(RECALL_S):
                return await loop.run_in_executor(self._reading, self._store.recall, digest)
        except TimeoutError:
            return None

    def keep(self, digest: bytes, embeddings: Embeddings) -> None:
        """See EmbeddingMemory."""
        if self._closed.is_set() or len(self._waiting) >= MAX_WAITING:
            return
        self._waiting.append((digest, embeddings))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            contents, self._waiting = self._waiting, []
            await loop.run_in_executor(self._writing, self._store.keep, contents)
        self._writer = None

    async def _purge(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._closed.is_set():
            if await loop.run_in_executor(self._writing, self._store.purge):
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(PURGE_EVERY_S):
                    await self._closed.wait()
