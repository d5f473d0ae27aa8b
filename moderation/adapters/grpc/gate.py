"""The way in for RPCs, which a stop closes: who is inside may finish, newcomers go elsewhere."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from moderation.core.errors import NotReady


class Gate:
    """Counts the RPCs under way. Health checks need no way in: they are answered to the end."""

    def __init__(self) -> None:
        self._is_open = True
        self._inside = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Be inside while in the context; raises NotReady once the gate is closed."""
        if not self._is_open:
            raise NotReady("the server is stopping; ask another one")
        self._inside += 1
        self._empty.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._empty.set()

    def close(self) -> None:
        """Let nobody in from now on."""
        self._is_open = False

    async def emptied(self) -> None:
        """Wait until nobody is inside."""
        await self._empty.wait()
