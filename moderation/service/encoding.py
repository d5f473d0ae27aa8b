"""From the bytes of an upload to its embeddings: remembered, or decoded, batched and encoded."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import Executor
from contextlib import asynccontextmanager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass

import numpy as np

from moderation.core.content import Embedding, Embeddings, Pixels, content_digest
from moderation.core.encoder import require_unit_rows
from moderation.core.errors import EncodingFailed, FailureCode, UnjudgeableContent
from moderation.service.batching import Batcher
from moderation.service.embedding_cache import ContentKey, EmbeddingCache
from moderation.service.embedding_memory import NO_MEMORY, EmbeddingMemory
from moderation.service.lanes import Priority, Urgency
from moderation.service.outcomes import Lookup
from moderation.service.pools import Pool, Task
from moderation.service.ports import ImageDecoder, ImageEncoder, Telemetry
from moderation.service.sharing import SharedWork
from moderation.service.tracing import NO_STAGE, NO_TRACER, Stage, Tracer

HASHED_AT_ONCE_BYTES = 256 * 1024
"""The digest of so many bytes takes less of the event loop than asking a thread for it would."""


@dataclass(frozen=True, slots=True)
class EncodedContent:
    """One content's embeddings, a row a frame, and what they cost in seconds.

    `queue_s` is spent waiting, for a thread to decode on or for a place in a batch.
    For content that was under way already, the seconds are those of its one encoding.
    """

    embeddings: Embeddings
    decode_s: float = 0.0
    queue_s: float = 0.0
    encode_s: float = 0.0
    cached: bool = False


class ContentEncoder:
    """Decodes on the threads of `executor`, encodes through `batcher`, remembers in `cache`.

    What `memory` recalls is not encoded either, and what was encoded is given to it.
    """

    def __init__(  # noqa: PLR0913 - its parts, all of them keywords
        self,
        *,
        decoder: ImageDecoder,
        batcher: Batcher[Pixels, Embedding],
        executor: Executor,
        decode_threads: int,
        cache: EmbeddingCache,
        encoder_id: str,
        telemetry: Telemetry,
        memory: EmbeddingMemory = NO_MEMORY,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._decoder = decoder
        self._batcher = batcher
        self._executor = executor
        self.decoders = Pool(decode_threads)
        """How busy those threads are."""
        # A thread takes decodings in the order of arrival: bulk that queued up there would be
        # in the way of whoever waits for an answer.
        self._bulk_decoding = asyncio.Semaphore(decode_threads)
        self._cache = cache
        self._memory = memory
        self._encoder_id = encoder_id
        self._telemetry = telemetry
        self._tracer = tracer
        self._shared: SharedWork[ContentKey, EncodedContent] = SharedWork()

    async def digest(self, image: bytes) -> bytes:
        """The sha256 of a content's bytes; of large ones it is not computed on the event loop."""
        if len(image) <= HASHED_AT_ONCE_BYTES:
            return content_digest(image)
        # Not where others decode: what is remembered must not queue up behind what is not.
        return await asyncio.to_thread(content_digest, image)

    async def encode(
        self, image: bytes, urgency: Urgency | None = None, *, digest: bytes | None = None
    ) -> EncodedContent:
        """Raises UnjudgeableContent, Overloaded, DeadlineExceeded or NotReady."""
        key = (self._encoder_id, digest or await self.digest(image))
        try:
            remembered = self._cache.get(key)
        except UnjudgeableContent:
            self._telemetry.embedding_looked_up(Lookup.HIT)
            raise
        if remembered is not None:
            self._telemetry.embedding_looked_up(Lookup.HIT)
            return EncodedContent(remembered, cached=True)
        shared = self._shared.is_under_way(key)
        if shared:
            self._telemetry.embedding_looked_up(Lookup.SHARED)
        with self._tracer.stage(Stage.SHARED) if shared else NO_STAGE:
            return await self._shared.result(
                key, urgency or Urgency(), lambda common: self._recalled(key, image, common)
            )

    async def _recalled(self, key: ContentKey, image: bytes, urgency: Urgency) -> EncodedContent:
        _, digest = key
        kept = await self._memory.recall(digest)
        if kept is None:
            self._telemetry.embedding_looked_up(Lookup.MISS)
            return await self._encode(key, image, urgency)
        self._telemetry.embedding_looked_up(Lookup.STORED)
        self._cache.remember(key, kept)
        return EncodedContent(kept, cached=True)

    async def _encode(self, key: ContentKey, image: bytes, urgency: Urgency) -> EncodedContent:
        try:
            with self._tracer.stage(Stage.DECODE):
                frames, waited_s, decode_s = await self._decoded(image, urgency)
        except UnjudgeableContent as error:
            self._cache.remember_refusal(key, error)
            raise
        try:
            with self._tracer.stage(Stage.QUEUE) as queue:
                batched = await self._batcher.submit(list(frames), urgency)
                encode_s = max(one.run_s for one in batched)
                queue.hand_over(Stage.ENCODE, encode_s)
        except EncodingFailed as error:
            raise UnjudgeableContent(FailureCode.ENCODER_FAILED, str(error)) from error
        embeddings = np.stack([one.result for one in batched])
        self._cache.remember(key, embeddings)
        _, digest = key
        self._memory.keep(digest, embeddings)
        return EncodedContent(
            embeddings=embeddings,
            decode_s=decode_s,
            queue_s=waited_s + max(one.queue_s for one in batched),
            encode_s=encode_s,
        )

    async def _decoded(self, image: bytes, urgency: Urgency) -> tuple[Pixels, float, float]:
        """Frames, and the seconds spent waiting for a thread and decoding."""
        loop = asyncio.get_running_loop()
        asked = loop.time()
        context = copy_context()  # what is logged on the thread names the request

        def decode(task: Task) -> tuple[float, Pixels]:
            with task.working():
                return loop.time(), context.run(self._decoder.decode, image)

        turn = self._turn_of_bulk(urgency) if urgency.priority is Priority.BULK else nullcontext()
        with self.decoders.asked() as task:
            async with turn:
                started, frames = await loop.run_in_executor(self._executor, decode, task)
        return frames, started - asked, loop.time() - started

    @asynccontextmanager
    async def _turn_of_bulk(self, urgency: Urgency) -> AsyncIterator[None]:
        """Wait until a thread is left for bulk, or until it is bulk no longer: a caller joined."""
        turn = asyncio.create_task(self._bulk_decoding.acquire())
        joined = asyncio.create_task(urgency.is_interactive())
        try:
            await asyncio.wait([turn, joined], return_when=asyncio.FIRST_COMPLETED)
            yield
        finally:
            joined.cancel()
            if not turn.cancel():  # it had its turn
                self._bulk_decoding.release()
            await asyncio.wait([turn, joined])


def encode_batch(encoder: ImageEncoder, frames: Sequence[Pixels]) -> list[Embedding]:
    """Encode frames uint8[size, size, 3] together.

    Raises EncodingFailed unless each gave a unit vector, and whatever the encoder raises.
    """
    return list(require_unit_rows(encoder.encode_images(np.stack(frames)), rows=len(frames)))
