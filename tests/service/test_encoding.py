"""From bytes to embeddings, in the order of the frames, or a reason why not."""

import asyncio
from math import inf, nan

import numpy as np
import pytest

from moderation.core.errors import EncodingFailed, FailureCode, UnjudgeableContent
from moderation.service.encoding import encode_batch
from tests.fakes import FakeEncoder, FakeImageDecoder, embedding_of
from tests.service.engine import running_engine


async def test_every_frame_has_its_embedding_in_order() -> None:
    async with running_engine() as engine:
        encoded = await engine.encoder.encode(b"a gun|a kitten|a beach")

    expected = [embedding_of(text) for text in ("a gun", "a kitten", "a beach")]
    np.testing.assert_array_equal(encoded.embeddings, np.stack(expected))
    assert min(encoded.decode_s, encoded.queue_s, encoded.encode_s) >= 0


async def test_bytes_that_are_no_picture_never_reach_the_encoder() -> None:
    async with running_engine() as engine:
        with pytest.raises(UnjudgeableContent) as caught:
            await engine.encoder.encode(b"broken")

    assert caught.value.code is FailureCode.NOT_AN_IMAGE
    assert engine.images.batches == []


@pytest.mark.parametrize("images", [FakeEncoder(fails_on=["x"]), FakeEncoder(spoiled={"x": inf})])
async def test_a_frame_that_cannot_be_encoded_makes_its_content_unjudgeable(
    images: FakeEncoder,
) -> None:
    async with running_engine(images=images) as engine:
        with pytest.raises(UnjudgeableContent) as caught:
            await engine.encoder.encode(b"a gun|x|a kitten")

    assert caught.value.code is FailureCode.ENCODER_FAILED
    assert "cannot encode" not in caught.value.message


async def test_a_picture_whose_caller_left_before_its_turn_is_not_decoded() -> None:
    async with running_engine() as engine:
        engine.decoder.gate.close()
        first = asyncio.create_task(engine.encoder.encode(b"a gun"))
        await engine.decoder.gate.reached()
        leaving = asyncio.create_task(engine.encoder.encode(b"a kitten"))
        await asyncio.sleep(0)

        leaving.cancel()
        await asyncio.wait([leaving])
        engine.decoder.gate.open()
        await first

    assert leaving.cancelled()
    assert engine.decoder.decoded == [b"a gun"]


def test_a_batch_with_one_vector_that_is_none_fails_as_a_whole() -> None:
    frames = [FakeImageDecoder().decode(text)[0] for text in (b"a gun", b"x")]

    with pytest.raises(EncodingFailed, match="not of unit norm"):
        encode_batch(FakeEncoder(spoiled={"x": nan}), frames)
