"""From bytes to embeddings, in the order of the frames, or a reason why not."""

import asyncio
from math import inf, nan

import numpy as np
import pytest

from moderation.core.errors import EncodingFailed, FailureCode, UnjudgeableContent
from moderation.service.encoding import HASHED_AT_ONCE_BYTES, EncodedContent, encode_batch
from moderation.service.lanes import Priority, Urgency
from moderation.service.outcomes import Lookup
from tests.fakes import FakeEncoder, FakeImageDecoder, embedding_of
from tests.service.engine import Engine, running_engine


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


@pytest.mark.parametrize("priority", list(Priority))
async def test_it_is_known_how_many_pictures_are_decoded_and_how_many_wait(
    priority: Priority,
) -> None:
    async with running_engine() as engine:
        engine.decoder.gate.close()
        asked = [
            asyncio.create_task(engine.encoder.encode(image, Urgency(priority)))
            for image in (b"a gun", b"a kitten", b"a beach")
        ]
        await engine.decoder.gate.reached()
        decoders = engine.encoder.decoders
        under_way = decoders.size, decoders.busy, decoders.waiting
        asked[2].cancel()
        async with asyncio.timeout(10):
            while decoders.waiting == under_way[2]:  # noqa: ASYNC110 - it gives up in its own time
                await asyncio.sleep(0)
        one_left = decoders.busy, decoders.waiting
        engine.decoder.gate.open()
        await asyncio.gather(*asked[:2])

    assert (under_way, one_left) == ((1, 1, 2), (1, 1))
    assert (decoders.busy, decoders.waiting) == (0, 0)


def test_a_batch_with_one_vector_that_is_none_fails_as_a_whole() -> None:
    frames = [FakeImageDecoder().decode(text)[0] for text in (b"a gun", b"x")]

    with pytest.raises(EncodingFailed, match="not of unit norm"):
        encode_batch(FakeEncoder(spoiled={"x": nan}), frames)


async def test_the_same_bytes_are_encoded_once_and_remembered() -> None:
    async with running_engine() as engine:
        first = await engine.encoder.encode(b"a gun|a kitten")
        again = await engine.encoder.encode(b"a gun|a kitten")

    np.testing.assert_array_equal(again.embeddings, first.embeddings)
    assert (first.cached, again.cached) == (False, True)
    assert (again.decode_s, again.queue_s, again.encode_s) == (0, 0, 0)
    assert engine.images.batches == [["a gun", "a kitten"]]
    assert engine.telemetry.lookups == [Lookup.MISS, Lookup.HIT]


async def test_bytes_that_are_no_picture_are_refused_again_without_a_look() -> None:
    async with running_engine() as engine:
        for _ in range(2):
            with pytest.raises(UnjudgeableContent, match="no image"):
                await engine.encoder.encode(b"broken")

    assert engine.decoder.decoded == [b"broken"]
    assert engine.telemetry.lookups == [Lookup.MISS, Lookup.HIT]


async def test_what_the_encoder_failed_on_is_tried_again() -> None:
    async with running_engine(images=FakeEncoder(fails_on=["x"])) as engine:
        with pytest.raises(UnjudgeableContent):
            await engine.encoder.encode(b"x")
        engine.images.fails_on.clear()
        encoded = await engine.encoder.encode(b"x")

    assert not encoded.cached


async def test_callers_of_the_same_bytes_share_one_encoding_and_the_first_may_leave() -> None:
    async with running_engine() as engine:
        engine.images.gate.close()
        first = asyncio.create_task(engine.encoder.encode(b"a gun"))
        await engine.images.gate.reached()
        second = asyncio.create_task(engine.encoder.encode(b"a gun"))
        await asyncio.sleep(0)

        first.cancel()
        await asyncio.wait([first])
        engine.images.gate.open()
        encoded = await second

    np.testing.assert_array_equal(encoded.embeddings, [embedding_of("a gun")])
    assert engine.images.batches == [["a gun"]]
    assert engine.telemetry.lookups == [Lookup.MISS, Lookup.SHARED]


async def test_what_is_large_is_known_by_its_digest_too() -> None:
    image = b"broken" + bytes(HASHED_AT_ONCE_BYTES)

    async with running_engine() as engine:
        for _ in range(2):
            with pytest.raises(UnjudgeableContent):
                await engine.encoder.encode(image)

    assert engine.telemetry.lookups == [Lookup.MISS, Lookup.HIT]


async def waiting_to_be_decoded(
    engine: Engine, image: bytes, priority: Priority
) -> asyncio.Task[EncodedContent]:
    """Ask for the picture, and return once it waits for a thread or for others of its kind."""
    asked = asyncio.create_task(engine.encoder.encode(image, Urgency(priority)))
    for _ in range(4):
        await asyncio.sleep(0)
    return asked


async def test_bulk_never_queues_up_before_an_interactive_picture_is_decoded() -> None:
    async with running_engine() as engine:
        engine.decoder.gate.close()
        bulk = [await waiting_to_be_decoded(engine, image, Priority.BULK) for image in (b"1", b"2")]
        await engine.decoder.gate.reached()
        interactive = await waiting_to_be_decoded(engine, b"3", Priority.INTERACTIVE)
        engine.decoder.gate.open()
        encoded = await interactive
        await asyncio.gather(*bulk)

    assert engine.decoder.decoded == [b"1", b"3", b"2"]
    assert encoded.queue_s > 0


async def test_a_caller_who_wants_what_waits_as_bulk_does_not_wait_behind_bulk() -> None:
    async with running_engine() as engine:
        engine.decoder.gate.close()
        images = b"1", b"2", b"3", b"4"
        bulk = [await waiting_to_be_decoded(engine, image, Priority.BULK) for image in images]
        await engine.decoder.gate.reached()
        joining = await waiting_to_be_decoded(engine, b"4", Priority.INTERACTIVE)
        await waiting_to_be_decoded(engine, b"3", Priority.BULK)
        engine.decoder.gate.open()
        await asyncio.gather(joining, *bulk)

    assert engine.decoder.decoded == [b"1", b"4", b"2", b"3"]


async def test_bulk_that_leaves_before_its_turn_leaves_its_turn_to_others() -> None:
    async with running_engine() as engine:
        engine.decoder.gate.close()
        images = b"1", b"2", b"3"
        bulk = [await waiting_to_be_decoded(engine, image, Priority.BULK) for image in images]
        await engine.decoder.gate.reached()
        bulk[1].cancel()
        engine.decoder.gate.open()
        await asyncio.gather(bulk[0], bulk[2])
        again = [
            await waiting_to_be_decoded(engine, image, Priority.BULK) for image in (b"4", b"5")
        ]
        await asyncio.gather(*again)

    assert engine.decoder.decoded == [b"1", b"3", b"4", b"5"]
