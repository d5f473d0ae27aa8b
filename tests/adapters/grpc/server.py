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
from moderation.core.policy import PolicySet
from moderation.service.admission import Limits
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
    max_connection_age_s: float = 3600.0,
    with_reflection: bool = True,
    limits: Limits = ROOMY,
    interceptors: Sequence[AccessInterceptor] = (),
    credentials: grpc.ServerCredentials | None = None,
) -> AsyncIterator[Served]:
    """A server, a channel to it, and everything between."""
    bugs: list[BaseException] = []

    def report_bug(error: BaseException) -> str:
        bugs.append(error)
        return f"incident-{len(bugs)}"

    async with running_engine(holds, limits=limits) as engine:
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
            interceptors=[EdgeInterceptor(engine.telemetry, report_bug), *interceptors],
            endpoint=Endpoint("127.0.0.1:0", credentials, with_reflection=with_reflection),
            limits=ServerLimits(max_message_bytes, 64, max_connection_age_s=max_connection_age_s),
        )
        async with server, grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            stub = moderation_pb2_grpc.ModerationServiceStub(channel)
            yield Served(stub, channel, server, engine, bugs)


async def refused(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    """The error that the call ends with."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value
