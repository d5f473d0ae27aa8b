"""The whole gRPC side on a loopback port, in front of a real engine with fake eyes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import pytest

from moderation.adapters.grpc.access import AccessInterceptor
from moderation.adapters.grpc.convert import BuildInfo
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.reports import Reports
from moderation.adapters.grpc.server import Endpoint, GrpcServer, ServerLimits
from moderation.adapters.grpc.servicer import ModerationServicer, RequestLimits
from moderation.adapters.grpc.shedding import SheddingInterceptor
from moderation.core.policy import PolicySet
from moderation.service.admission import Limits
from moderation.service.tenants import NO_TENANTS, Tenants
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.builders import NOON
from tests.fakes import PATIENCE_S
from tests.service.engine import ROOMY, Engine, running_engine

BUILD = BuildInfo("1.2.3", "3.11.0", "1.32.0")


@dataclass
class Served:
    """A running server, and what its engine recorded."""

    stub: moderation_pb2_grpc.ModerationServiceStub
    channel: grpc.aio.Channel
    server: GrpcServer
    engine: Engine
    bugs: list[BaseException]

    async def counted(self) -> list[tuple[str, str]]:
        """Method and status of each RPC, once there is one: it is counted after its answer."""
        async with asyncio.timeout(PATIENCE_S):
            await self.engine.telemetry.rpc_told.wait()
        return self.engine.telemetry.rpcs


@asynccontextmanager
async def served(
    holds: PolicySet | Exception | None = None,
    *,
    max_batch_contents: int = 64,
    items_in_flight: int = 8,
    max_message_bytes: int = 1 << 20,
    max_arrival_s: float = PATIENCE_S,
    max_connection_age_s: float = 3600.0,
    max_connection_idle_s: float = 3600.0,
    with_reflection: bool = True,
    limits: Limits = ROOMY,
    interceptors: Sequence[AccessInterceptor] = (),
    tenants: Tenants = NO_TENANTS,
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Served]:
    """A server, a channel to it, and everything between."""
    bugs: list[BaseException] = []

    def report_bug(error: BaseException) -> str:
        bugs.append(error)
        return f"incident-{len(bugs)}"

    async with running_engine(holds, limits=limits) as engine:
        engine.moderator.share_among(tenants)
        ids = iter(range(10_000))
        servicer = ModerationServicer(
            moderator=engine.moderator,
            reports=Reports(engine.policies, engine.info, BUILD, NOON),
            limits=RequestLimits(max_batch_contents, items_in_flight),
            report_bug=report_bug,
            new_id=lambda: f"made-up-{next(ids)}",
        )
        server = GrpcServer(
            servicer,
            interceptors=[
                EdgeInterceptor(engine.telemetry, report_bug),
                *interceptors,
                SheddingInterceptor(engine.moderator),
            ],
            endpoint=Endpoint("127.0.0.1:0", credentials, with_reflection=with_reflection),
            limits=ServerLimits(
                max_message_bytes,
                64,
                max_batch_contents,
                max_arrival_s,
                max_connection_age_s=max_connection_age_s,
                max_connection_idle_s=max_connection_idle_s,
            ),
        )
        async with server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            yield Served(stub, channel, server, engine, bugs)


ONE_INTERACTIVE = Limits(
    max_in_flight=8,
    max_in_flight_bytes=1 << 20,
    max_request_s=10.0,
    target_wait_s=1e-9,  # whatever is waited is too long
    min_in_flight=1,
)


def kitten(number: int) -> pb.Content:
    """A content like no other."""
    return pb.Content(image=b"kitten %d" % number, content_id=str(number))


@asynccontextmanager
async def busy() -> AsyncIterator[Served]:
    """A server that lets one interactive request in, and has it under way until it is let go."""
    async with served(limits=ONE_INTERACTIVE) as service:
        for number in range(6):
            await service.stub.Moderate(pb.ModerateRequest(content=kitten(number)))
        async with held(service, pb.ModerateRequest(content=kitten(100))):
            yield service


@asynccontextmanager
async def held(
    service: Served, request: pb.ModerateRequest, metadata: Sequence[tuple[str, str]] = ()
) -> AsyncIterator[None]:
    """A request that is under way until the gate of the images' encoder is opened."""
    gate = service.engine.images.gate
    gate.close()
    first = asyncio.ensure_future(service.stub.Moderate(request, metadata=tuple(metadata)))
    await gate.reached()
    service.engine.telemetry.rpc_told.clear()
    yield
    gate.open()
    await first


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error that the call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value
