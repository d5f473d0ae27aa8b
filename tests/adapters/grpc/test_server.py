"""The port itself: health, reflection, limits, and how it stops."""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hyperframe.frame import SettingsFrame

from moderation.adapters.grpc.access import SERVICE
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.server import (
    LIVENESS_NAME,
    Endpoint,
    GrpcServer,
    ServerLimits,
    StopTimes,
)
from moderation.core.errors import PolicySetRejected
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.adapters.grpc.server import Served, refused, served
from tests.e2e.http2 import RawConnection, data, message
from tests.fakes import PATIENCE_S, RecordingTelemetry

NO_HURRY = asyncio.Event
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
GUN = pb.ModerateRequest(content=pb.Content(image=b"a gun"))


async def health_of(
    service: Served, name: str = ""
) -> health_pb2.HealthCheckResponse.ServingStatus:
    stub = health_pb2_grpc.HealthStub(service.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=name))
    return answer.status


async def test_health_tells_the_truth_under_both_names() -> None:
    async with served() as service:
        before = [await health_of(service), await health_of(service, SERVICE)]
        service.server.announce_serving()
        after = [await health_of(service), await health_of(service, SERVICE)]

    assert before == [NOT_SERVING, NOT_SERVING]
    assert after == [SERVING, SERVING]


async def test_the_process_is_alive_whether_or_not_it_can_be_asked() -> None:
    async with served() as service:
        alive = [await health_of(service, LIVENESS_NAME)]
        service.server.announce_serving()
        service.server.announce_not_serving()  # as with policies that are too old
        alive.append(await health_of(service, LIVENESS_NAME))
        draining = asyncio.create_task(service.server.drain(StopTimes(PATIENCE_S, 0), NO_HURRY()))
        await asyncio.sleep(0.05)
        service.server.announce_serving()  # which a stop must not be talked out of
        alive.append(await health_of(service, LIVENESS_NAME))
        ready = [await health_of(service), await health_of(service, SERVICE)]
        draining.cancel()

    assert alive == [SERVING, SERVING, SERVING]
    assert ready == [NOT_SERVING, NOT_SERVING]


async def test_health_of_an_unknown_service_is_not_found() -> None:
    async with served() as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        error = await refused(stub.Check(health_pb2.HealthCheckRequest(service="nonsense")))

        assert error.code() is grpc.StatusCode.NOT_FOUND
        assert await service.counted() == [("/grpc.health.v1.Health/Check", "NOT_FOUND")]


async def test_a_watcher_of_health_sees_the_server_become_ready_and_stop() -> None:
    async with served() as service:
        watch = health_pb2_grpc.HealthStub(service.channel).Watch(health_pb2.HealthCheckRequest())
        seen = [(await watch.read()).status]
        service.server.announce_serving()
        seen.append((await watch.read()).status)
        times = StopTimes(drain_s=0.05, grace_s=PATIENCE_S)
        await asyncio.wait_for(service.server.drain(times, NO_HURRY()), 1)
        seen.append((await watch.read()).status)
        assert await watch.code() is grpc.StatusCode.OK

    assert seen == [NOT_SERVING, SERVING, NOT_SERVING]


async def test_a_watcher_stays_until_the_port_is_closed() -> None:
    async with served() as service:
        service.server.announce_serving()
        watch = health_pb2_grpc.HealthStub(service.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        draining = asyncio.create_task(service.server.drain(StopTimes(PATIENCE_S, 0), NO_HURRY()))
        assert (await watch.read()).status == NOT_SERVING
        await asyncio.sleep(0.05)
        assert not watch.done()
        draining.cancel()


async def test_a_watcher_that_never_reads_keeps_nobody_waiting() -> None:
    async with served() as service:
        with RawConnection(f"127.0.0.1:{service.server.port}") as deaf:
            deaf.send(
                SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 0}),
                deaf.request(1, "/grpc.health.v1.Health/Watch"),
                data(1, message(b""), end=True),
            )
            await asyncio.sleep(0.1)
            service.server.announce_serving()
            health = await health_of(service)
            drained = service.server.drain(StopTimes(0, 0.05), NO_HURRY())
            await asyncio.wait_for(drained, 1)

    assert health == SERVING


async def test_every_name_is_listed_with_its_health() -> None:
    async with served() as service:
        stub = health_pb2_grpc.HealthStub(service.channel)
        statuses = (await stub.List(health_pb2.HealthListRequest())).statuses

    health = {name: one.status for name, one in statuses.items()}
    assert health == {"": NOT_SERVING, SERVICE: NOT_SERVING, LIVENESS_NAME: SERVING}


async def test_a_stop_answers_on_until_clients_had_time_to_leave() -> None:
    async with served() as service:
        service.server.announce_serving()
        draining = asyncio.create_task(service.server.drain(StopTimes(PATIENCE_S, 0), NO_HURRY()))
        await asyncio.sleep(0.05)
        health = await health_of(service)
        answer = await service.stub.Moderate(GUN)
        draining.cancel()

    assert health == NOT_SERVING
    assert answer.decision.action == pb.ACTION_BLOCK


async def test_what_is_under_way_is_finished_while_newcomers_are_turned_away() -> None:
    async with served() as service:
        service.engine.images.gate.close()
        under_way = asyncio.ensure_future(service.stub.Moderate(GUN))
        await service.engine.images.gate.reached()
        draining = asyncio.create_task(service.server.drain(StopTimes(0, PATIENCE_S), NO_HURRY()))
        await asyncio.sleep(0.05)
        late = await refused(service.stub.Moderate(GUN, timeout=PATIENCE_S))
        service.engine.images.gate.open()
        answer = await under_way
        await draining

    assert answer.decision.action == pb.ACTION_BLOCK
    # grpcio cancels a call that arrives between the shutdown and the client's hearing of it.
    assert late.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


@pytest.mark.parametrize("times", [StopTimes(PATIENCE_S, 0), StopTimes(0, PATIENCE_S)])
async def test_a_stop_in_a_hurry_waits_for_nobody(times: StopTimes) -> None:
    async with served() as service:
        service.engine.images.gate.close()
        under_way = asyncio.ensure_future(service.stub.Moderate(GUN))
        await service.engine.images.gate.reached()
        hurry = asyncio.Event()
        draining = asyncio.create_task(service.server.drain(times, hurry))
        await asyncio.sleep(0.05)
        hurry.set()
        await asyncio.wait_for(draining, 1)
        service.engine.images.gate.open()
        await under_way


async def test_a_stop_waits_for_rpcs_no_longer_than_it_may() -> None:
    async with served() as service:
        service.engine.images.gate.close()
        under_way = asyncio.ensure_future(service.stub.Moderate(GUN))
        await service.engine.images.gate.reached()
        await asyncio.wait_for(service.server.drain(StopTimes(0, 0.05), NO_HURRY()), 1)
        cut_off = await refused(under_way)
        service.engine.images.gate.open()

    assert cut_off.code() is grpc.StatusCode.UNAVAILABLE


def another_server(port: int = 0, *, is_ready: Callable[[], bool] = lambda: False) -> GrpcServer:
    return GrpcServer(
        moderation_pb2_grpc.ModerationServiceServicer(),
        interceptors=[EdgeInterceptor(RecordingTelemetry(), str)],
        endpoint=Endpoint(f"127.0.0.1:{port}"),
        limits=ServerLimits(1 << 20, 64),
        is_ready=is_ready,
    )


async def test_a_taken_port_is_refused_instead_of_shared() -> None:
    async with served() as service:
        with pytest.raises(OSError, match="is the port taken"):
            another_server(service.server.port).bind()


async def _answer(
    call: Awaitable[health_pb2.HealthCheckResponse],
) -> health_pb2.HealthCheckResponse:
    return await call


async def test_who_comes_before_there_is_somebody_to_answer_waits() -> None:
    loaded = False
    server = another_server(is_ready=lambda: loaded)
    server.bind()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        asking = asyncio.create_task(_answer(check))
        early, _ = await asyncio.wait([asking], timeout=0.2)
        loaded = True
        async with server:
            answer = await asking

    assert not early
    assert answer.status == SERVING


async def test_a_message_over_the_limit_is_refused_before_it_is_read() -> None:
    too_large = pb.ModerateRequest(content=pb.Content(image=bytes(2 << 20)))

    async with served(max_message_bytes=1 << 20) as service:
        error = await refused(service.stub.Moderate(too_large))
        answer = await service.stub.Moderate(GUN)

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert answer.decision.action == pb.ACTION_BLOCK


async def test_metadata_over_the_limit_is_refused() -> None:
    async with served() as service:
        error = await refused(service.stub.Moderate(GUN, metadata=[("x-padding", "x" * 40_000)]))

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("with_reflection", [True, False])
async def test_reflection_names_the_services_only_where_it_is_wanted(
    with_reflection: bool,
) -> None:
    async with served(PolicySetRejected(()), with_reflection=with_reflection) as service:
        stub = reflection_pb2_grpc.ServerReflectionStub(service.channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([asked]))
        if not with_reflection:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
            return
        answer = await call.read()

    assert SERVICE in [one.name for one in answer.list_services_response.service]


async def test_a_connection_of_the_greatest_age_is_closed_and_another_one_made() -> None:
    async with served(max_connection_age_s=0.2) as service:
        await service.stub.Moderate(GUN)
        async with asyncio.timeout(10):
            await service.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        await service.stub.Moderate(GUN)

        assert [code for _, code in service.engine.telemetry.rpcs] == ["OK", "OK"]


async def test_a_connection_on_which_nothing_is_asked_is_closed_and_another_one_made() -> None:
    async with served(max_connection_idle_s=0.2) as service:
        with RawConnection(f"127.0.0.1:{service.server.port}") as silent:
            await asyncio.to_thread(silent.until_closed, within_s=10)
        await service.stub.Moderate(GUN)
        async with asyncio.timeout(10):
            await service.channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        answer = await service.stub.Moderate(GUN)

    assert answer.decision.action == pb.ACTION_BLOCK
