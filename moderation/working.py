"""A server that is one of several workers: what differs from one that is alone."""

import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from moderation.adapters.console import LogTelemetry
from moderation.adapters.policy_state import FollowedState, PolicyState
from moderation.adapters.prometheus.sums import snapshot_of
from moderation.adapters.workers import wire
from moderation.adapters.workers.link import SupervisorLink
from moderation.core.encoder import EncoderInfo
from moderation.service.ports import PolicyKeeper
from moderation.settings import Settings

LEADER = 0
"""The worker that writes down which policy sets were active; the others read it."""


class WorkerLog(LogTelemetry):
    """Leaves what all workers do to the supervisor, which says it once."""

    def __init__(self) -> None:
        super().__init__()
        self.tell: Callable[..., None] = _to_nobody

    def listening(
        self, *, address: str, tls: bool, metrics: str, policies: str, encoder: EncoderInfo
    ) -> None:
        """See LogTelemetry."""
        self.tell(
            wire.LISTENING,
            tls=tls,
            encoder=encoder.name,
            encoder_id=encoder.encoder_id,
            device=encoder.device,
            notice=encoder.notice,
        )

    def serving(self) -> None:
        """See LogTelemetry."""
        self.tell(wire.SERVING)

    def not_serving(self) -> None:
        """See LogTelemetry."""
        self.tell(wire.NOT_SERVING)

    def stopping(self) -> None:
        """See LogTelemetry; a worker may be stopped alone."""
        self.tell(wire.NOT_SERVING)


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker's place among all, counted from 0, and its line to the supervisor."""

    index: int
    count: int
    connection: socket.socket

    @property
    def place(self) -> tuple[int, int]:
        """Which worker, and of how many."""
        return self.index, self.count

    def keeper(self, state: PolicyState) -> PolicyKeeper:
        """What remembers activations: one worker writes, or they would be there several times."""
        return state if self.index == LEADER else FollowedState(state)

    async def join(
        self,
        stack: AsyncExitStack,
        *,
        registry: CollectorRegistry,
        log: WorkerLog,
        on_gone: Callable[[], None],
    ) -> None:
        """Answer the supervisor until the stack is closed; `on_gone` is called if it ends."""
        link = SupervisorLink(
            self.connection, snapshot=lambda: snapshot_of(registry), on_gone=on_gone
        )
        await stack.enter_async_context(link)
        log.tell = link.tell


def take_orders(connection: socket.socket) -> tuple[Settings, Worker]:
    """What the supervisor starts this process with; raises EOFError or OSError."""
    order: dict[str, Any] = wire.receive(connection)
    settings = Settings(**order["settings"])
    return settings, Worker(order["worker"], settings.server.workers, connection)


def orders_for(worker: int, settings: Settings) -> dict[str, Any]:
    """What `take_orders` gets."""
    return {"worker": worker, "settings": settings.model_dump(mode="json")}


def _to_nobody(_event: str, **_facts: object) -> None:
    """Until the line is open."""
