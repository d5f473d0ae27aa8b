"""A message is waited for so long, and looked at before it is parsed, whatever its method."""

import asyncio
import time

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import refused, served
from tests.adapters.grpc.test_access import SERVICE, raw
from tests.e2e.http2 import RawConnection, data, message

EMPTY_CONTENTS = b"\x0a\x00" * 10_000
EMPTY_NAMES = pb.ModerateRequest(
    options=pb.ModerateOptions(policy_ids=[""] * 10_000)
).SerializeToString()
SLOW_S = 0.3
HEALTH = "/grpc.health.v1.Health/Check"


@pytest.mark.parametrize(
    ("method", "message", "problem"),
    [
        (f"{SERVICE}/Moderate", b"\xff\xff\xff\xff", "is not valid protobuf of the expected type"),
        (f"{SERVICE}/Moderate", b"\x12\x03\x0a\x01\xff", "is not valid protobuf of the expected"),
        (f"{SERVICE}/Moderate", EMPTY_NAMES, "has more than 1536 fields"),
        (f"{SERVICE}/ModerateBatch", EMPTY_CONTENTS, "has more than 1536 fields"),
        (f"{SERVICE}/GetStatus", EMPTY_CONTENTS, "has more than 1536 fields"),
        (HEALTH, EMPTY_CONTENTS, "has more than 1536 fields"),
    ],
    ids=["no protobuf", "no UTF-8", "policy ids", "contents", "unknown fields", "health"],
)
async def test_a_message_that_is_wrong_or_too_much_is_an_invalid_argument(
    method: str, message: bytes, problem: str
) -> None:
    async with served(max_batch_contents=64) as service:
        error = await refused(raw(service, method)(message))
        rpcs = await service.counted()

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(f"message: {problem}")
    assert rpcs == [(method, "INVALID_ARGUMENT")]


async def test_an_item_of_a_stream_with_too_many_fields_fails_alone() -> None:
    kitten = pb.ModerateStreamRequest(content=pb.Content(image=b"a kitten", content_id="1"))
    async with served() as service:
        call = service.channel.stream_stream(
            f"{SERVICE}/ModerateStream",
            request_serializer=bytes,
            response_deserializer=pb.ModerateStreamResponse.FromString,
        )(iter([EMPTY_NAMES, kitten.SerializeToString()]))
        results = [response.result async for response in call]

    assert sorted(one.error.field for one in results) == ["", "message"]


async def test_a_method_answers_again_and_again() -> None:
    async with served() as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        for _ in range(2):
            await stub.Check(health_pb2.HealthCheckRequest())
            await service.stub.GetStatus(pb.GetStatusRequest())


DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
STATUS_OK = grpc.StatusCode.OK.value[0]


@pytest.mark.parametrize("method", [f"{SERVICE}/Moderate", f"{SERVICE}/GetStatus", HEALTH])
async def test_half_a_message_is_not_waited_for_for_ever(method: str) -> None:
    def half(address: str) -> int | None:
        with RawConnection(address) as connection:
            connection.send(connection.request(1, method), data(1, message(b"half", claimed=1000)))
            return connection.status()

    async with served(max_arrival_s=0.1) as service:
        status = await asyncio.to_thread(half, f"127.0.0.1:{service.server.port}")

        assert status == DEADLINE_EXCEEDED
        assert await service.counted() == [(method, "DEADLINE_EXCEEDED")]


async def test_how_long_a_message_takes_is_not_the_time_to_answer() -> None:
    status = pb.GetStatusRequest().SerializeToString() + b"\x78\x01"

    def slow(address: str) -> int | None:
        with RawConnection(address) as connection:
            whole = message(status)
            connection.send(connection.request(1, f"{SERVICE}/GetStatus"), data(1, whole[:-1]))
            time.sleep(SLOW_S)
            connection.send(data(1, whole[-1:], end=True))
            return connection.status()

    async with served() as service:
        code = await asyncio.to_thread(slow, f"127.0.0.1:{service.server.port}")
        await service.counted()

    assert code == STATUS_OK
    assert service.engine.telemetry.rpc_s[0] < SLOW_S


async def test_a_call_without_its_message_is_an_invalid_argument() -> None:
    async with served() as service:
        call = service.channel.stream_unary(
            f"{SERVICE}/Moderate", request_serializer=bytes, response_deserializer=bytes
        )(iter([]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call

    assert caught.value.details() == "message: there is none"


async def test_who_leaves_in_the_middle_of_a_message_leaves_nothing_behind() -> None:
    def leave(address: str) -> None:
        with RawConnection(address) as connection:
            half = message(b"half", claimed=1000)
            connection.send(connection.request(1, f"{SERVICE}/Moderate"), data(1, half))
            time.sleep(0.1)

    async with served() as service:
        await asyncio.to_thread(leave, f"127.0.0.1:{service.server.port}")

        assert await service.counted() == [(f"{SERVICE}/Moderate", "CANCELLED")]
        assert not service.bugs
