"""The server: its port, its limits, health and reflection, and the order in which it stops."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from moderation.adapters.grpc.access import SERVICE
from moderation.adapters.grpc.health import HealthServicer, Status
from moderation.adapters.grpc.messages import MessageInterceptor
from moderation.v1 import moderation_pb2, moderation_pb2_grpc

METHODS = tuple(
    f"/{service.full_name}/{method.name}"
    for file in (moderation_pb2, health_pb2, reflection_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
)
"""Every method that a server can have, as `/package.Service/Method`."""
READINESS_NAMES = ("", SERVICE)
"""Under which it is asked whether to send requests: the whole server, and the one service."""
LIVENESS_NAME = "liveness"
"""Under which it is asked whether the process is alive: if it answers, it is."""

LAST_S = 0.2
"""For the answers that are on their way out when the port is closed."""
MAX_METADATA_BYTES = 16 * 1024
HANDSHAKE_TIMEOUT_MS = 10_000
"""Whoever connects and says nothing holds a descriptor."""
CONNECTION_GRACE_MS = 300_000
KEEPALIVE_TIME_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
MIN_PING_INTERVAL_MS = 10_000
MAX_PING_STRIKES = 3


@dataclass(frozen=True, slots=True)
class StopTimes:
    """How long a stop may take, in seconds: first for clients to leave, then for RPCs to end."""

    drain_s: float
    grace_s: float


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """What one connection and one message may ask for, and how many there may be for how long."""

    max_message_bytes: int
    max_streams_per_connection: int
    max_batch_contents: int = 256
    max_arrival_s: float = 60.0
    max_connections: int = 1000
    max_connection_age_s: float = 3600.0
    max_connection_idle_s: float = 120.0
    shares_port: bool = False
    """With other processes of this service, between which the kernel deals out connections."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the server listens, how connections are secured, and whether it describes itself."""

    address: str
    credentials: grpc.ServerCredentials | None = None
    """None: plain text."""
    with_reflection: bool = False


class GrpcServer:
    """Answers from `__aenter__` on, and says NOT_SERVING until `announce_serving`.

    If `is_ready` then, it says SERVING from its first moment.
    """

    def __init__(
        self,
        servicer: moderation_pb2_grpc.ModerationServiceServicer,
        *,
        interceptors: Sequence["grpc.aio.ServerInterceptor[Any, Any]"],
        endpoint: Endpoint,
        limits: ServerLimits,
        is_ready: Callable[[], bool] = lambda: False,
    ) -> None:
        self._endpoint = endpoint
        self._is_ready = is_ready
        self._health = HealthServicer()
        inmost = MessageInterceptor(
            max_batch_contents=limits.max_batch_contents, max_arrival_s=limits.max_arrival_s
        )
        self._server = grpc.aio.server(
            interceptors=(*interceptors, inmost), options=_options(limits)
        )
        moderation_pb2_grpc.add_ModerationServiceServicer_to_server(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        if endpoint.with_reflection:
            names = (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self._is_leaving = False
        self.port = 0

    def bind(self) -> None:
        """Take the port; raises OSError if the address is taken or no address.

        Who connects waits until there is somebody to answer. A client of several servers asks the
        others meanwhile.
        """
        try:
            self.port = self._bound()
        except RuntimeError as error:
            where = self._endpoint.address
            raise OSError(
                f"cannot listen on {where}, server.host and server.port: is the port taken?"
            ) from error

    async def __aenter__(self) -> Self:
        """Answer; raises OSError as `bind`, unless that was done before."""
        self._health.set(LIVENESS_NAME, health_pb2.HealthCheckResponse.SERVING)
        (self.announce_serving if self._is_ready() else self.announce_not_serving)()
        if not self.port:
            self.bind()
        await self._server.start()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the port; what is under way still is cut off."""
        self._leave()
        self._health.end_watches()
        await self._server.stop(LAST_S)

    async def drain(self, times: StopTimes, hurry: asyncio.Event) -> None:
        """Say NOT_SERVING at once, but close the port only when clients had time to leave.

        Then what is under way has its time. Connections are told to go away at that moment and
        not before: a client that was refused over an open one would come back to it.
        `hurry` ends the waiting.
        """
        self._leave()
        hurried = asyncio.create_task(hurry.wait())
        await asyncio.wait([hurried], timeout=times.drain_s)
        self._health.end_watches()  # not before: who is let go asks again, as long as it can
        stopping = asyncio.create_task(self._server.stop(times.grace_s))
        await asyncio.wait([hurried, stopping], return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        stopping.cancel()

    def announce_serving(self) -> None:
        """Tell health checks that requests are answered from now on."""
        self._set_readiness(health_pb2.HealthCheckResponse.SERVING)

    def announce_not_serving(self) -> None:
        """Tell health checks that this server should not be asked for now."""
        self._set_readiness(health_pb2.HealthCheckResponse.NOT_SERVING)

    def _bound(self) -> int:
        """The port; raises RuntimeError."""
        endpoint = self._endpoint
        if endpoint.credentials is None:
            return self._server.add_insecure_port(endpoint.address)
        return self._server.add_secure_port(endpoint.address, endpoint.credentials)

    def _leave(self) -> None:
        """Say NOT_SERVING for good; alive it is until the port is closed."""
        self._is_leaving = True
        self._set_readiness(health_pb2.HealthCheckResponse.NOT_SERVING)

    def _set_readiness(self, status: Status) -> None:
        leaving = health_pb2.HealthCheckResponse.NOT_SERVING
        for name in READINESS_NAMES:
            self._health.set(name, leaving if self._is_leaving else status)


def _options(limits: ServerLimits) -> Sequence[tuple[str, int]]:
    return (
        ("grpc.max_allowed_incoming_connections", limits.max_connections),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        ("grpc.max_connection_age_ms", int(limits.max_connection_age_s * 1000)),
        ("grpc.max_connection_idle_ms", int(limits.max_connection_idle_s * 1000)),
        ("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS),
        # A second server on the same port would otherwise share its traffic silently.
        ("grpc.so_reuseport", int(limits.shares_port)),
        ("grpc.max_receive_message_length", limits.max_message_bytes),
        ("grpc.max_concurrent_streams", limits.max_streams_per_connection),
        ("grpc.max_metadata_size", MAX_METADATA_BYTES),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
        ("grpc.http2.max_ping_strikes", MAX_PING_STRIKES),
    )
