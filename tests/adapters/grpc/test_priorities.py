"""Which RPC is interactive and which is bulk, as seen by what is turned away under load."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import Served, busy, kitten, refused

BULK = pb.ModerateOptions(priority=pb.PRIORITY_BULK)
INTERACTIVE = pb.ModerateOptions(priority=pb.PRIORITY_INTERACTIVE)


@pytest.fixture(name="busy")
async def busy_server() -> AsyncIterator[Served]:
    """A server that lets one interactive request in, and has it under way."""
    async with busy() as service:
        yield service


async def test_a_single_image_is_interactive(busy: Served) -> None:
    error = await refused(busy.stub.Moderate(pb.ModerateRequest(content=kitten(1000))))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "more would wait" in (error.details() or "")


async def test_a_single_image_may_be_bulk(busy: Served) -> None:
    request = pb.ModerateRequest(content=kitten(1000), options=BULK)

    gate = busy.engine.decoder.gate
    gate.close()
    call = asyncio.ensure_future(busy.stub.Moderate(request, metadata=(("x-priority", "bulk"),)))
    await gate.reached()  # though there is no place for an interactive one
    gate.open()
    busy.engine.images.gate.open()

    assert (await call).decision.content_id == "1000"


async def test_a_batch_is_bulk(busy: Served) -> None:
    request = pb.ModerateBatchRequest(contents=[kitten(1000), kitten(1001)])

    call = asyncio.ensure_future(busy.stub.ModerateBatch(request))
    busy.engine.images.gate.open()

    assert [one.HasField("decision") for one in (await call).results] == [True, True]


async def test_an_item_of_a_stream_is_bulk_unless_it_says_otherwise(busy: Served) -> None:
    call = busy.stub.ModerateStream()
    await call.write(pb.ModerateStreamRequest(content=kitten(1000)))
    await call.write(pb.ModerateStreamRequest(content=kitten(1001), options=INTERACTIVE))
    turned_away = await call.read()
    busy.engine.images.gate.open()
    judged = await call.read()
    await call.done_writing()

    assert isinstance(turned_away, pb.ModerateStreamResponse)
    assert isinstance(judged, pb.ModerateStreamResponse)
    assert (turned_away.result.content_id, turned_away.result.error.code) == ("1001", 8)
    assert turned_away.result.error.retry_after.ToSeconds() >= 1
    assert judged.result.HasField("decision")
