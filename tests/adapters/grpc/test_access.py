"""Calls are refused by their metadata alone, on a real port, before their message is read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from cryptography import x509

from moderation.adapters.grpc.access import AccessInterceptor, certificate_names, presented_in
from moderation.core.errors import AccessReason
from moderation.core.identity import CertificateName, NameKind
from moderation.service.access import Access, KeyStore, LoadedKeys, Presented
from moderation.service.admission import Limits
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import ModerationServiceStub
from tests.adapters.grpc.server import Served, refused, served
from tests.builders import NOON
from tests.certificates import Authority, Pair
from tests.service.engine import ROOMY
from tests.service.test_access import (
    TOKEN,
    UPLOADS,
    FakeKeys,
    RecordingAccess,
    loaded,
    with_certificates,
)

SERVICE = "/moderation.v1.ModerationService"
WITH_KEY = (("authorization", f"Bearer {TOKEN}"),)
GUN = pb.ModerateRequest(content=pb.Content(image=b"a gun"))
OURS = Authority()
SHOP = OURS.issue("", names=[x509.UniformResourceIdentifier(UPLOADS.value)])
STRANGER = OURS.issue("stranger")


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


@asynccontextmanager
async def guarded_by_certificates(
    by: Pair, limits: Limits = ROOMY
) -> AsyncIterator[tuple[grpc.aio.Channel, Served, KeyStore, RecordingAccess]]:
    """A server that takes certificates as credentials, and a channel with one."""
    told, source = RecordingAccess(), FakeKeys(holds=with_certificates())
    keys = KeyStore(source, told)
    await keys.load()
    guard = AccessInterceptor(Access((keys,), told, lambda: NOON, certificates=keys))
    credentials = OURS.demanding()
    async with served(interceptors=[guard], credentials=credentials, limits=limits) as service:
        address = f"127.0.0.1:{service.server.port}"
        async with grpc.aio.secure_channel(address, OURS.trusted(by)) as channel:
            yield channel, service, keys, told


def raw_on(
    channel: grpc.aio.Channel, method: str
) -> "grpc.aio.StreamUnaryMultiCallable[bytes, bytes]":
    """As many messages as one likes, whatever the method takes."""
    return channel.stream_unary(method, request_serializer=bytes, response_deserializer=bytes)


@pytest.mark.parametrize("message", [b"\xff\xff\xff\xff", bytes(2 << 20)])
async def test_nothing_of_a_call_by_a_certificate_that_is_refused_is_read(message: bytes) -> None:
    async with guarded_by_certificates(STRANGER) as (channel, service, _, told):
        error = await refused(raw_on(channel, f"{SERVICE}/Moderate")(iter([message])))
        rpcs = await service.counted()

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert [reason for reason, _, _ in told.refused] == [AccessReason.UNKNOWN]
    assert rpcs == [(f"{SERVICE}/Moderate", "UNAUTHENTICATED")]


async def test_a_certificate_is_answered_as_a_key_is() -> None:
    async with guarded_by_certificates(SHOP) as (channel, _, _, told):
        stub = ModerationServiceStub(channel)
        one = await stub.Moderate(GUN)
        item = pb.ModerateStreamRequest(content=GUN.content)
        several = [answer async for answer in stub.ModerateStream(iter([item, item]))]
        role = await refused(stub.GetStatus(pb.GetStatusRequest()))
        tenant = await refused(stub.Moderate(GUN, metadata=(("x-tenant", "bank"),)))
        wrong = await refused(stub.Moderate(GUN, metadata=(("x-api-key", "mod_x"),)))

    assert one.decision.action == pb.ACTION_BLOCK
    assert [answer.result.decision.action for answer in several] == [pb.ACTION_BLOCK] * 2
    assert role.code() is tenant.code() is grpc.StatusCode.PERMISSION_DENIED
    assert wrong.code() is grpc.StatusCode.UNAUTHENTICATED
    reasons = [AccessReason.WRONG_ROLE, AccessReason.WRONG_TENANT, AccessReason.MALFORMED]
    assert [reason for reason, _, _ in told.refused] == reasons


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([b"\xff\xff\xff\xff"], grpc.StatusCode.INVALID_ARGUMENT),
        ([bytes(2 << 20)], grpc.StatusCode.RESOURCE_EXHAUSTED),
        ([], grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
async def test_a_wrong_message_is_told_whatever_the_credential(
    messages: list[bytes], code: grpc.StatusCode
) -> None:
    async with guarded_by_certificates(SHOP) as (channel, service, _, _):
        error = await refused(raw_on(channel, f"{SERVICE}/Moderate")(iter(messages)))
        answer = await ModerationServiceStub(channel).Moderate(GUN)

    assert error.code() is code
    assert answer.decision.action == pb.ACTION_BLOCK
    assert not service.bugs


@pytest.mark.parametrize(
    ("connection", "names"),
    [
        ({"transport_security_type": [b"insecure"]}, set()),
        (
            {
                "x509_common_name": [b"Pod"],
                "peer_uri": [b"spiffe://A/b", b"https://a"],
                "peer_dns": [b"Pod.Shop"],
                # Holds the same names without telling which kind they are of.
                "x509_subject_alternative_name": [b"spiffe://A/b", b"https://a", b"Pod.Shop"],
            },
            {"common_name:Pod", "uri:spiffe://A/b", "uri:https://a", "dns:pod.shop"},
        ),
        ({"x509_common_name": [b"shop\xff"], "peer_uri": []}, set()),
        ({"x509_common_name": [b"shop\x00.example"]}, {"common_name:shop\x00.example"}),
    ],
)
def test_names_of_a_certificate(connection: dict[str, list[bytes]], names: set[str]) -> None:
    assert set(map(str, certificate_names(connection))) == names


def test_a_name_has_its_kind() -> None:
    (name,) = certificate_names({"peer_dns": [b"spiffe://shop/uploads"]})

    assert name == CertificateName(NameKind.DNS, "spiffe://shop/uploads") != UPLOADS
