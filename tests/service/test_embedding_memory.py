"""What is kept beyond the cache: asked after it, written together, and never in the way."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from moderation.core.content import Embeddings, content_digest
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
        self.may_write = threading.Event()
        self.may_write.set()

    def recall(self, digest: bytes) -> Embeddings | None:
        return self.kept.get(digest)

    def keep(self, contents: list[tuple[bytes, Embeddings]]) -> None:
        self.may_write.wait(30)
        self.kept.update(contents)
        self.writes.append(len(contents))


async def test_what_was_kept_is_neither_decoded_nor_encoded_again() -> None:
    store = FakeStore()
    with ThreadPoolExecutor(1) as thread:
        for _ in range(2):
            memory = StoredEmbeddings(store, thread)
            async with running_engine(memory=memory) as engine:
                first = await engine.encoder.encode(b"a gun")
                second = await engine.encoder.encode(b"a gun")
            await memory.close()

    np.testing.assert_array_equal(first.embeddings, GUN)
    assert first.cached
    assert second.cached
    assert engine.decoder.decoded == []
    assert engine.telemetry.lookups == [Lookup.STORED, Lookup.HIT]
    assert store.writes == [1]


async def test_what_comes_while_it_writes_is_written_together() -> None:
    store = FakeStore()
    store.may_write.clear()
    with ThreadPoolExecutor(1) as thread:
        memory = StoredEmbeddings(store, thread)
        memory.keep(b"first", GUN)
        await asyncio.sleep(0)  # its writing begins
        for number in range(MAX_WAITING + 5):
            memory.keep(b"%d" % number, GUN)
        store.may_write.set()
        await memory.close()

    assert store.writes == [1, MAX_WAITING]


async def test_nothing_is_asked_or_kept_once_it_is_closed() -> None:
    store = FakeStore()
    store.kept[content_digest(b"a gun")] = GUN
    with ThreadPoolExecutor(1) as thread:
        memory = StoredEmbeddings(store, thread)
        await memory.close()
        memory.keep(b"late", GUN)

        assert await memory.recall(content_digest(b"a gun")) is None
    assert b"late" not in store.kept
