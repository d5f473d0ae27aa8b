"""What contents looked like to the encoder, kept for longer than a process lives."""

import asyncio
from concurrent.futures import Executor
from typing import Protocol

from moderation.core.content import Embeddings

MAX_WAITING = 1024
"""Contents that wait to be written; of more, the rest is not kept."""


class Store(Protocol):
    """Embeddings by the sha256 of a content's bytes; asked on one thread at a time."""

    def recall(self, digest: bytes) -> Embeddings | None:
        """What was kept; must not raise."""
        ...

    def keep(self, contents: list[tuple[bytes, Embeddings]]) -> None:
        """Keep these; must not raise."""
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
    """An EmbeddingMemory by a store on a thread of its own: `executor` has that one.

    What comes while the store writes is written together next.
    """

    def __init__(self, store: Store, executor: Executor) -> None:
        self._store = store
        self._executor = executor
        self._waiting: list[tuple[bytes, Embeddings]] = []
        self._writing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def recall(self, digest: bytes) -> Embeddings | None:
        """See EmbeddingMemory."""
        if self._is_closed:
            return None
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._store.recall, digest)

    def keep(self, digest: bytes, embeddings: Embeddings) -> None:
        """See EmbeddingMemory."""
        if self._is_closed or len(self._waiting) >= MAX_WAITING:
            return
        self._waiting.append((digest, embeddings))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Write what waits, and take no more."""
        self._is_closed = True
        if self._writing is not None:
            await self._writing

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            contents, self._waiting = self._waiting, []
            await loop.run_in_executor(self._executor, self._store.keep, contents)
        self._writing = None
