"""When there is no room, a call is refused by its metadata alone, before its message is read."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest

from moderation.adapters.grpc.access import AccessInterceptor
from moderation.adapters.grpc.shedding import priority_in
from moderation.core.identity import TenantLimits
from moderation.service.access import Access, KeyStore
from moderation.service.admission import Limits
from moderation.service.lanes import Priority
from moderation.service.outcomes import ShedReason
from moderation.service.tenants import Tenants
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import Served, busy, held, kitten, refused, served
from tests.adapters.grpc.test_access import (
    GUN,
    SHOP,
    STRANGER,
    WITH_KEY,
    guarded_by_certificates,
    raw,
    raw_on,
)
from tests.builders import NOON
from tests.certificates import Pair
from tests.service.test_access import FakeKeys, RecordingAccess, loaded

MODERATE = "/moderation.v1.ModerationService/Moderate"
NO_PROTOBUF = b"\xff\xff\xff\xff"
AS_BULK = (("x-priority", "bulk"),)
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(name="busy")
async def busy_server() -> AsyncIterator[Served]:
    async with busy() as service:
        yield service


@pytest.mark.parametrize("message", [NO_PROTOBUF, bytes(2 << 20)], ids=["wrong", "too large"])
async def test_nothing_of_it_is_read(busy: Served, message: bytes) -> None:
    telemetry, before = busy.engine.telemetry, len(busy.engine.telemetry.rpcs)

    error = await refused(raw(busy, MODERATE)(message))
    rpcs = await busy.counted()

    assert error.code() is EXHAUSTED
    assert error.details() == "1 requests are under way, more would wait"
    assert telemetry.sheds == [ShedReason.LATENCY]
    assert rpcs[before:] == [(MODERATE, "RESOURCE_EXHAUSTED")]


async def test_the_caller_learns_what_it_would_learn_later_on(busy: Served) -> None:
    named = ("x-request-id", "upload/7")
    early = await refused(raw(busy, MODERATE)(NO_PROTOBUF, metadata=(named,)))
    # Bulk by its metadata is read, and found to be interactive.
    late_call = busy.stub.Moderate(
        pb.ModerateRequest(content=kitten(1000)), metadata=(*AS_BULK, named)
    )
    late = await refused(late_call)

    assert (early.code(), early.details()) == (late.code(), late.details())
    assert repr(early.trailing_metadata()) == repr(late.trailing_metadata())
    for key in ("grpc-retry-pushback-ms", "grpc-status-details-bin", "upload/7"):
        assert key in repr(early.trailing_metadata())
    assert busy.engine.telemetry.sheds == [ShedReason.LATENCY] * 2


async def test_what_calls_itself_bulk_is_read(busy: Served) -> None:
    error = await refused(raw(busy, MODERATE)(NO_PROTOBUF, metadata=AS_BULK))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not busy.engine.telemetry.sheds


async def test_bulk_that_does_not_say_so_in_its_metadata_comes_back_later(busy: Served) -> None:
    bulk = pb.ModerateOptions(priority=pb.PRIORITY_BULK)

    error = await refused(
        busy.stub.Moderate(pb.ModerateRequest(content=kitten(1000), options=bulk))
    )

    assert error.code() is EXHAUSTED


async def test_other_methods_are_answered(busy: Served) -> None:
    assert (await busy.stub.GetStatus(pb.GetStatusRequest())).serving
    interactive = pb.ModerateOptions(priority=pb.PRIORITY_INTERACTIVE)
    batch = pb.ModerateBatchRequest(contents=[kitten(1000)], options=interactive)

    (result,) = (await busy.stub.ModerateBatch(batch)).results

    assert result.error.code == EXHAUSTED.value[0]


async def test_what_was_refused_is_let_in_once_there_is_room(busy: Served) -> None:
    await refused(busy.stub.Moderate(pb.ModerateRequest(content=kitten(1000))))
    await busy.counted()
    busy.engine.telemetry.rpc_told.clear()
    busy.engine.images.gate.open()
    await busy.counted()  # the one that was under way

    answer = await busy.stub.Moderate(pb.ModerateRequest(content=kitten(1000)))

    assert answer.decision.content_id == "1000"


async def test_of_a_burst_each_is_answered_or_refused_and_counted_once() -> None:
    few = Limits(max_in_flight=4, max_in_flight_bytes=1 << 20, max_request_s=10.0, min_in_flight=4)
    burst = 50  # on one connection, which takes 64 calls at once
    async with served(limits=few) as service, held(service, pb.ModerateRequest(content=kitten(0))):
        calls = [
            asyncio.ensure_future(service.stub.Moderate(pb.ModerateRequest(content=kitten(number))))
            for number in range(1, burst + 1)
        ]
        await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        service.engine.images.gate.open()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        sheds = service.engine.telemetry.sheds

    errors = [one for one in outcomes if isinstance(one, grpc.aio.AioRpcError)]
    answers = [one for one in outcomes if isinstance(one, pb.ModerateResponse)]
    assert len(answers) + len(errors) == burst
    assert errors
    assert {error.code() for error in errors} == {EXHAUSTED}
    assert len(sheds) == len(errors)


@asynccontextmanager
async def for_a_shop(limits: TenantLimits) -> AsyncIterator[Served]:
    """A server that knows one tenant, with these limits."""
    told = RecordingAccess()
    keys = KeyStore(FakeKeys(holds=loaded(limits=limits)), told)
    await keys.load()
    guard = AccessInterceptor(Access((keys,), told, lambda: NOON))
    tenants = Tenants(lambda: keys.tenants, max_share=1.0, clock=lambda: 0.0)
    async with served(interceptors=[guard], tenants=tenants) as service:
        yield service


ONE_AT_ONCE = TenantLimits(max_in_flight=1)


async def test_a_tenant_that_has_its_part_is_refused_before_anything_is_read() -> None:
    async with for_a_shop(ONE_AT_ONCE) as service, held(service, GUN, WITH_KEY):
        error = await refused(raw(service, MODERATE)(NO_PROTOBUF, metadata=WITH_KEY))

    assert error.code() is EXHAUSTED
    assert service.engine.telemetry.sheds == [ShedReason.TENANT_IN_FLIGHT]


@pytest.mark.parametrize("method", ["ModerateBatch", "ModerateStream"])
async def test_without_room_in_memory_no_batch_and_no_stream_is_read(method: str) -> None:
    path = f"/moderation.v1.ModerationService/{method}"
    few_bytes = TenantLimits(max_in_flight_bytes=len(GUN.content.image))
    async with for_a_shop(few_bytes) as service:
        async with held(service, GUN, WITH_KEY):
            error = await refused(raw(service, path)(NO_PROTOBUF, metadata=WITH_KEY))
        answer = await service.stub.ModerateBatch(
            pb.ModerateBatchRequest(contents=[GUN.content]), metadata=WITH_KEY
        )

    assert error.code() is EXHAUSTED
    assert error.details() == "this tenant has 5 bytes under way"
    assert service.engine.telemetry.sheds == [ShedReason.TENANT_BYTES]
    assert answer.results[0].decision.action == pb.ACTION_BLOCK


async def test_who_shows_no_credential_is_not_told_whether_there_is_room() -> None:
    async with for_a_shop(ONE_AT_ONCE) as service, held(service, GUN, WITH_KEY):
        error = await refused(raw(service, MODERATE)(NO_PROTOBUF))

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
    assert not service.engine.telemetry.sheds


@pytest.mark.parametrize(
    ("certificate", "code", "sheds"),
    [
        (SHOP, EXHAUSTED, [ShedReason.IN_FLIGHT]),
        (STRANGER, grpc.StatusCode.UNAUTHENTICATED, []),
    ],
    ids=["known", "stranger"],
)
async def test_who_shows_a_certificate_is_told_of_room_if_it_is_known(
    certificate: Pair, code: grpc.StatusCode, sheds: list[ShedReason]
) -> None:
    nobody = Limits(max_in_flight=0, max_in_flight_bytes=1, max_request_s=1.0)
    async with guarded_by_certificates(certificate, nobody) as (channel, service, _, _):
        error = await refused(raw_on(channel, MODERATE)(iter([NO_PROTOBUF])))

    assert error.code() is code
    assert service.engine.telemetry.sheds == sheds


async def test_each_request_takes_one_turn_of_its_tenants_rate_and_a_refused_one_none() -> None:
    async with for_a_shop(TenantLimits(requests_per_s=1.0, burst=2.0)) as service:
        for _ in range(2):
            await service.stub.Moderate(GUN, metadata=WITH_KEY)
        error = await refused(raw(service, MODERATE)(NO_PROTOBUF, metadata=WITH_KEY))

    assert error.code() is EXHAUSTED
    assert "('grpc-retry-pushback-ms', '1000')" in repr(error.trailing_metadata())
    assert service.engine.telemetry.sheds == [ShedReason.TENANT_RATE]


@pytest.mark.parametrize(
    ("metadata", "priority"),
    [
        ([], Priority.INTERACTIVE),
        ([("user-agent", "x"), ("x-priority", "bulk")], Priority.BULK),
        ([("x-priority", "interactive")], Priority.INTERACTIVE),
        ([("x-priority", "BULK")], Priority.INTERACTIVE),
        ([("x-priority", "bulk"), ("x-priority", "interactive")], Priority.BULK),
        ([("x-priority-bin", b"bulk")], Priority.INTERACTIVE),
    ],
)
def test_what_metadata_say_of_the_priority(
    metadata: list[tuple[str, str | bytes]], priority: Priority
) -> None:
    assert priority_in(metadata) is priority
