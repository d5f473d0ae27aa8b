"""Tells by the clock that a package may have changed, and rests longer while it cannot be had."""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable

JITTER = 0.1
"""Servers that were started together do not ask together for ever."""
LONGEST_REST_S = 300.0


class Polling:
    """A ChangeFeed: about one item every `every_s`; it ends when its reader does."""

    def __init__(
        self, *, every_s: float, failures: Callable[[], int], look_again: Callable[[], None]
    ) -> None:
        self._every_s = every_s
        self._failures = failures
        self._look_again = look_again

    async def changes(self) -> AsyncGenerator[None, None]:
        """See ChangeFeed."""
        while True:
            await asyncio.sleep(pause_s(self._every_s, self._failures(), random.random()))
            self._look_again()
            yield


def pause_s(every_s: float, failures: int, draw: float) -> float:
    """Until the next look: twice as long after each failure in a row, up to five minutes.

    `draw` is between 0 and 1. Who looks less often than that anyway goes on doing so.
    """
    longest = max(every_s, LONGEST_REST_S)
    wanted = min(longest, every_s * 2.0 ** min(failures, 16))
    return wanted * (1 - JITTER + 2 * JITTER * draw)
