"""From the bytes of an upload to its embeddings: decode, wait for a batch, encode, check."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.encoder import require_unit_rows
from moderation.core.errors import EncodingFailed, FailureCode, UnjudgeableContent
from moderation.service.batching import Batcher
from moderation.service.ports import ImageDecoder, ImageEncoder


@dataclass(frozen=True, slots=True)
class EncodedContent:
    """One content's embeddings, a row a frame, and what they cost in seconds."""

    embeddings: Embeddings
    decode_s: float
    queue_s: float
    encode_s: float


class ContentEncoder:
    """Decodes on `executor`, encodes through `batcher`."""

    def __init__(
        self,
        *,
        decoder: ImageDecoder,
        batcher: Batcher[Pixels, Embedding],
        executor: Executor,
    ) -> None:
        self._decoder = decoder
        self._batcher = batcher
        self._executor = executor

    async def encode(self, image: bytes) -> EncodedContent:
        """Raises UnjudgeableContent, Overloaded or NotReady."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        frames = await loop.run_in_executor(self._executor, self._decoder.decode, image)
        decode_s = loop.time() - started
        try:
            batched = await self._batcher.submit(list(frames))
        except EncodingFailed as error:
            raise UnjudgeableContent(FailureCode.ENCODER_FAILED, str(error)) from error
        return EncodedContent(
            embeddings=np.stack([one.result for one in batched]),
            decode_s=decode_s,
            queue_s=max(one.queue_s for one in batched),
            encode_s=max(one.run_s for one in batched),
        )


def encode_batch(encoder: ImageEncoder, frames: Sequence[Pixels]) -> list[Embedding]:
    """Encode frames uint8[size, size, 3] together.

    Raises EncodingFailed unless each gave a unit vector, and whatever the encoder raises.
    """
    return list(require_unit_rows(encoder.encode_images(np.stack(frames)), rows=len(frames)))
