"""Which RPC is interactive and which is bulk, as seen by what is turned away under load."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from moderation.service.admission import Limits
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import Served, refused, served

ONE_INTERACTIVE = Limits(
    max_in_flight=8,
    max_in_flight_bytes=1 << 20,
    max_request_s=10.0,
    target_wait_s=1e-9,  # whatever is waited is too long
    min_in_flight=1,
)
BULK = pb.ModerateOptions(priority=pb.PRIORITY_BULK)
INTERACTIVE = pb.ModerateOptions(priority=pb.PRIORITY_INTERACTIVE)


def content(number: int) -> pb.Content:
    return pb.Content(image=b"kitten %d" % number, content_id=str(number))


@pytest.fixture
async def busy() -> AsyncIterator[Served]:
    """A server that lets one interactive request in, and has it under way."""
    async with served(limits=ONE_INTERACTIVE) as service:
        for number in range(6):
            await service.stub.Moderate(pb.ModerateRequest(content=content(number)))
        service.engine.images.gate.close()
        first = asyncio.ensure_future(
            service.stub.Moderate(pb.ModerateRequest(content=content(100)))
        )
        await service.engine.images.gate.reached()
        yield service
        service.engine.images.gate.open()
        await first


async def test_a_single_image_is_interactive(busy: Served) -> None:
    error = await refused(busy.stub.Moderate(pb.ModerateRequest(content=content(1000))))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "more would wait" in (error.details() or "")


async def test_a_single_image_may_be_bulk(busy: Served) -> None:
    request = pb.ModerateRequest(content=content(1000), options=BULK)

    call = asyncio.ensure_future(busy.stub.Moderate(request))
    busy.engine.images.gate.open()

    assert (await call).decision.content_id == "1000"


async def test_a_batch_is_bulk(busy: Served) -> None:
    request = pb.ModerateBatchRequest(contents=[content(1000), content(1001)])

    call = asyncio.ensure_future(busy.stub.ModerateBatch(request))
    busy.engine.images.gate.open()

    assert [one.HasField("decision") for one in (await call).results] == [True, True]


async def test_an_item_of_a_stream_is_bulk_unless_it_says_otherwise(busy: Served) -> None:
    call = busy.stub.ModerateStream()
    await call.write(pb.ModerateStreamRequest(content=content(1000)))
    await call.write(pb.ModerateStreamRequest(content=content(1001), options=INTERACTIVE))
    turned_away = await call.read()
    busy.engine.images.gate.open()
    judged = await call.read()
    await call.done_writing()

    assert isinstance(turned_away, pb.ModerateStreamResponse)
    assert isinstance(judged, pb.ModerateStreamResponse)
    assert (turned_away.result.content_id, turned_away.result.error.code) == ("1001", 8)
    assert turned_away.result.error.retry_after.ToSeconds() >= 1
    assert judged.result.HasField("decision")
