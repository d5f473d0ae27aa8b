"""Calls are refused by their metadata alone, on a real port, before their message is read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from moderation.adapters.grpc.access import AccessInterceptor, presented_in
from moderation.core.errors import AccessReason
from moderation.service.access import Access, KeyStore, LoadedKeys, Presented
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import Served, refused, served
from tests.builders import NOON
from tests.service.test_access import TOKEN, FakeKeys, RecordingAccess, loaded

SERVICE = "/moderation.v1.ModerationService"
WITH_KEY = (("authorization", f"Bearer {TOKEN}"),)
GUN = pb.ModerateRequest(content=pb.Content(image=b"a gun"))


@asynccontextmanager
async def guarded(
    source: FakeKeys | None = None,
) -> AsyncIterator[tuple[Served, KeyStore, RecordingAccess]]:
    told = RecordingAccess()
    keys = KeyStore(source or FakeKeys(), told)
    await keys.load()
    guard = AccessInterceptor(Access((keys,), told, lambda: NOON))
    async with served(interceptors=[guard]) as service:
        yield service, keys, told


def raw(service: Served, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    return service.channel.unary_unary(
        method, request_serializer=bytes, response_deserializer=bytes
    )


@pytest.mark.parametrize("message", [b"\xff\xff\xff\xff", bytes(2 << 20)])
async def test_nothing_of_a_refused_call_is_read(message: bytes) -> None:
    async with guarded() as (service, _, told):
        error = await refused(raw(service, f"{SERVICE}/Moderate")(message))
        rpcs = await service.counted()

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert [reason for reason, _, _ in told.refused] == [AccessReason.NO_CREDENTIAL]
    assert rpcs == [(f"{SERVICE}/Moderate", "UNAUTHENTICATED")]


async def test_a_stream_is_refused_before_anything_is_sent_on_it() -> None:
    async with guarded() as (service, _, _):
        call = service.stub.ModerateStream()
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_a_method_that_there_is_not_is_no_way_to_new_series() -> None:
    async with guarded() as (service, _, told):
        error = await refused(raw(service, f"{SERVICE}/MadeUp")(b""))

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert service.engine.telemetry.rpcs == [("unknown", "UNIMPLEMENTED")]
    assert not told.refused


async def test_a_right_key_is_answered() -> None:
    async with guarded() as (service, _, told):
        answer = await service.stub.Moderate(GUN, metadata=WITH_KEY)

    assert answer.decision.action == pb.ACTION_BLOCK
    assert not told.refused


async def test_a_profile_of_others_is_refused_for_one_a_batch_and_an_item_of_a_stream() -> None:
    source = FakeKeys(holds=loaded(profiles=frozenset({"strict"})))
    async with guarded(source) as (service, _, told):
        one = await refused(service.stub.Moderate(GUN, metadata=WITH_KEY))
        request = pb.ModerateBatchRequest(contents=[GUN.content])
        batch = await refused(service.stub.ModerateBatch(request, metadata=WITH_KEY))
        item = pb.ModerateStreamRequest(content=GUN.content)
        stream = service.stub.ModerateStream(iter([item]), metadata=WITH_KEY)
        answers = [answer async for answer in stream]

    assert one.code() is batch.code() is grpc.StatusCode.PERMISSION_DENIED
    assert [a.result.error.code for a in answers] == [grpc.StatusCode.PERMISSION_DENIED.value[0]]
    assert [reason for reason, _, _ in told.refused] == [AccessReason.WRONG_PROFILE] * 3


async def test_a_stream_ends_with_the_key_that_it_was_opened_with() -> None:
    source = FakeKeys()
    async with guarded(source) as (service, keys, _):
        stream = service.stub.ModerateStream(metadata=WITH_KEY)
        await stream.write(pb.ModerateStreamRequest(content=GUN.content))
        first = await stream.read()
        source.holds = revoked()
        await keys.load()
        await stream.write(pb.ModerateStreamRequest(content=GUN.content))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stream.read()

    assert first.result.decision.action == pb.ACTION_BLOCK
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


def revoked() -> LoadedKeys:
    return loaded(is_revoked=True)


@pytest.mark.parametrize(
    ("metadata", "presented"),
    [
        ([], Presented()),
        ([("authorization", "Bearer mod_x")], Presented(("mod_x",))),
        ([("authorization", "bearer  mod_x ")], Presented(("mod_x",))),
        ([("authorization", "Basic eA==")], Presented(("Basic eA==",))),
        ([("x-api-key", "mod_x")], Presented(("mod_x",))),
        ([("x-api-key", "a"), ("authorization", "Bearer b")], Presented(("a", "b"))),
        ([("x-tenant", "shop"), ("x-tenant-bin", b"bank")], Presented((), ("shop",))),
        ([("x-api-key-bin", b"mod_x"), ("user-agent", "x")], Presented()),
    ],
)
def test_what_is_presented(metadata: list[tuple[str, str | bytes]], presented: Presented) -> None:
    assert presented_in(metadata) == presented
