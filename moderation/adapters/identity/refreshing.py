"""Tells by the clock that what was fetched may have changed, and sooner when somebody asks."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress


class Refreshing:
    """A ChangeFeed: one item every `every_s`, and within `least_s` after `ask`.

    Anybody can ask, by a token with an invented key: it costs a fetch every `least_s` at most.
    """

    def __init__(self, *, every_s: float, least_s: float) -> None:
        self._every_s = every_s
        self._least_s = least_s
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Something was missing."""
        self._asked.set()

    async def changes(self) -> AsyncGenerator[None, None]:
        """See ChangeFeed."""
        while True:
            await asyncio.sleep(self._least_s)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s - self._least_s):
                    await self._asked.wait()
            self._asked.clear()
            yield
