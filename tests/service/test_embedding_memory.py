"""What is kept beyond the cache: asked after it, written together, and never in the way."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest

from moderation.core.content import Embeddings, content_digest
from moderation.service import embedding_memory
from moderation.service.embedding_memory import MAX_WAITING, StoredEmbeddings
from moderation.service.outcomes import Lookup
from tests.fakes import embedding_of
from tests.service.engine import running_engine

GUN = np.stack([embedding_of("a gun")])


class FakeStore:
    """Keeps in memory, slowly if asked to."""

    def __init__(self) -> None:
        self.kept: dict[bytes, Embeddings] = {}
        self.writes: list[int] = []
        """Contents of each."""
        self.too_old = 0
        """Slices of it."""
        self.purged = threading.Semaphore(0)
        self.may_write, self.may_read = threading.Event(), threading.Event()
        self.may_write.set()
        self.may_read.set()

    def recall(self, digest: bytes) -> Embeddings | None:
        self.may_read.wait(30)
        return self.kept.get(digest)

    def keep(self, contents: list[tuple[bytes, Embeddings]]) -> None:
        self.may_write.wait(30)
        self.kept.update(contents)
        self.writes.append(len(contents))

    def purge(self) -> bool:
        self.too_old = max(0, self.too_old - 1)
        self.purged.release()
        return self.too_old > 0


@contextmanager
def remembering(store: FakeStore) -> Iterator[StoredEmbeddings]:
    with ThreadPoolExecutor(1) as reading, ThreadPoolExecutor(1) as writing:
        yield StoredEmbeddings(store, reading=reading, writing=writing)


async def test_what_was_kept_is_neither_decoded_nor_encoded_again() -> None:
    store = FakeStore()
    for _ in range(2):
        with remembering(store) as memory:
            async with memory, running_engine(memory=memory) as engine:
                first = await engine.encoder.encode(b"a gun")
                second = await engine.encoder.encode(b"a gun")

    np.testing.assert_array_equal(first.embeddings, GUN)
    assert first.cached
    assert second.cached
    assert engine.decoder.decoded == []
    assert engine.telemetry.lookups == [Lookup.STORED, Lookup.HIT]
    assert store.writes == [1]


async def test_what_comes_while_it_writes_is_written_together() -> None:
    store = FakeStore()
    store.may_write.clear()
    with remembering(store) as memory:
        async with memory:
            memory.keep(b"first", GUN)
            await asyncio.sleep(0)  # its writing begins
            for number in range(MAX_WAITING + 5):
                memory.keep(b"%d" % number, GUN)
            store.may_write.set()

    assert store.writes == [1, MAX_WAITING]


async def test_nothing_is_asked_or_kept_once_it_is_closed() -> None:
    store = FakeStore()
    store.kept[content_digest(b"a gun")] = GUN
    with remembering(store) as memory:
        async with memory:
            pass
        memory.keep(b"late", GUN)

        assert await memory.recall(content_digest(b"a gun")) is None
    assert b"late" not in store.kept


async def test_what_is_kept_is_given_out_while_others_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding_memory, "RECALL_S", 10.0)
    store = FakeStore()
    store.kept[b"gun"] = GUN
    store.may_write.clear()
    with remembering(store) as memory:
        async with memory:
            memory.keep(b"other", GUN)
            recalled = await memory.recall(b"gun")
            store.may_write.set()

    assert recalled is GUN


async def test_a_store_that_does_not_answer_soon_knows_nothing() -> None:
    store = FakeStore()
    store.may_read.clear()
    with remembering(store) as memory:
        async with memory, running_engine(memory=memory) as engine:
            encoded = await engine.encoder.encode(b"a gun")
            store.may_read.set()

    assert not encoded.cached
    assert engine.telemetry.lookups == [Lookup.MISS]


async def test_what_is_too_old_goes_at_once_and_from_time_to_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(embedding_memory, "PURGE_EVERY_S", 0.01)
    store = FakeStore()
    store.too_old = 3
    with remembering(store) as memory:
        async with memory:
            for _ in range(6):  # of which three are due at once
                assert await asyncio.to_thread(store.purged.acquire, timeout=30)

    assert store.too_old == 0
