"""What was fetched is fetched again by the clock, and sooner when a key is missing."""

import asyncio
from contextlib import aclosing

from moderation.adapters.identity.refreshing import Refreshing


async def test_it_tells_by_the_clock() -> None:
    refreshing = Refreshing(every_s=0.02, least_s=0.01)

    async with asyncio.timeout(10), aclosing(refreshing.changes()) as changes:
        await anext(changes)
        await anext(changes)


async def test_it_tells_sooner_when_asked_once_for_all_who_ask() -> None:
    refreshing = Refreshing(every_s=3600.0, least_s=0.01)

    async with asyncio.timeout(10), aclosing(refreshing.changes()) as changes:
        refreshing.ask()
        refreshing.ask()
        await anext(changes)
        again = asyncio.ensure_future(anext(changes))
        done, _ = await asyncio.wait([again], timeout=0.1)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)

    assert not done
