"""A worker's end of the line to its supervisor: it tells events, and answers for its metrics."""

import asyncio
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Self

from moderation.adapters.workers import wire


class SupervisorLink:
    """A context manager; `on_gone` is called once if the supervisor ends first."""

    def __init__(
        self,
        connection: socket.socket,
        *,
        snapshot: Callable[[], object],
        on_gone: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._snapshot = snapshot
        self._on_gone = on_gone
        self._writer: asyncio.StreamWriter | None = None
        self._answering: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Answer from now on."""
        self._connection.setblocking(False)
        reader, self._writer = await asyncio.open_unix_connection(sock=self._connection)
        self._answering = asyncio.create_task(self._answer(reader, self._writer))
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Hang up."""
        assert self._answering is not None
        assert self._writer is not None
        self._answering.cancel()
        await asyncio.gather(self._answering, return_exceptions=True)
        self._writer.close()

    def tell(self, event: str, **facts: object) -> None:
        """Say what has happened; nothing comes of it once the supervisor has gone."""
        assert self._writer is not None, "it is told from within the context"
        self._writer.write(wire.pack({wire.EVENT: event, **facts}))

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # There is one question, so that what it says need not be looked at.
            while await wire.read(reader):
                # Not on the loop: thousands of policies have tens of thousands of series.
                snapshot = await asyncio.to_thread(self._snapshot)
                writer.write(wire.pack({wire.METRICS: snapshot}))
                await writer.drain()
        except (EOFError, OSError):
            self._on_gone()
