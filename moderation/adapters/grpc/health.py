"""Tells Kubernetes, load balancers and clients whether to send requests: gRPC's health protocol.

grpcio's own servicer holds a lock while it sends to a watcher: one that does not read would keep
whoever changes a status waiting for ever, and with that every stop.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeAlias

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from moderation.adapters.grpc.interceptors import Context

Status: TypeAlias = health_pb2.HealthCheckResponse.ServingStatus
UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # not in the stubs
    """Answers with what was set last; whoever watches is told of each change that it waits for."""

    def __init__(self) -> None:
        self._statuses: dict[str, Status] = {}
        self._changed = asyncio.Event()
        self._is_over = False

    def set(self, name: str, status: Status) -> None:
        """From now on, this is the status of what is asked for under that name."""
        self._statuses[name] = status
        self._tell()

    def end_watches(self) -> None:
        """Let those who watch go, once they have the last status: a stop would wait for them."""
        self._is_over = True
        self._tell()

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> health_pb2.HealthCheckResponse:
        """The status; NOT_FOUND for a name that there is not."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return health_pb2.HealthCheckResponse(status=status)

    async def List(
        self, request: health_pb2.HealthListRequest, context: Context
    ) -> health_pb2.HealthListResponse:
        """Every name with its status."""
        statuses = self._statuses.items()
        return health_pb2.HealthListResponse(
            statuses={name: health_pb2.HealthCheckResponse(status=one) for name, one in statuses}
        )

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncGenerator[health_pb2.HealthCheckResponse, None]:
        """The status, and each one that it changes to; changes that are over are left out."""
        told = None
        while True:
            changed, status = self._changed, self._statuses.get(request.service, UNKNOWN)
            if status != told:
                yield health_pb2.HealthCheckResponse(status=status)
                told = status
            elif self._is_over:
                return
            else:
                await changed.wait()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
