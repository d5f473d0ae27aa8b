"""A message is looked at before it is parsed, whatever its method."""

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import refused, served
from tests.adapters.grpc.test_access import SERVICE, raw

EMPTY_CONTENTS = b"\x0a\x00" * 10_000
EMPTY_NAMES = pb.ModerateRequest(
    options=pb.ModerateOptions(policy_ids=[""] * 10_000)
).SerializeToString()
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
