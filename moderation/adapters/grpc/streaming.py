"""Works on the items of a stream side by side, never on more than a bound of them."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

from moderation.core.errors import DeadlineExceeded

Item = TypeVar("Item")
Result = TypeVar("Result")


async def map_unordered(
    items: AsyncIterator[Item],
    work: Callable[[Item], Coroutine[Any, Any, Result]],
    *,
    limit: int,
    idle_s: float | None = None,
) -> AsyncGenerator[Result, None]:
    """Results as they are ready, at most `limit` items being under way.

    An item is taken from `items` only when there is room for it, and a result counts as
    under way until it is asked for: a slow reader slows the sender down. Raises
    DeadlineExceeded if nothing is under way and no item comes for `idle_s` seconds.
    """
    working: set[asyncio.Task[Result]] = set()
    reading: asyncio.Task[Item | None] | None = _read(items)
    try:
        while working or reading is not None:
            may_read = reading is not None and len(working) < limit
            await asyncio.wait(
                [*working, reading] if reading is not None and may_read else working,
                timeout=None if working else idle_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not working and reading is not None and not reading.done():
                raise DeadlineExceeded(f"no image came for {idle_s:g} s; open another stream")
            if reading is not None and may_read and reading.done():
                item = reading.result()
                reading = None
                if item is not None:
                    working.add(asyncio.create_task(work(item)))
                    reading = _read(items)
            for finished in [task for task in working if task.done()]:
                working.discard(finished)
                yield finished.result()
    finally:
        await _cancel(*working, *([] if reading is None else [reading]))


def _read(items: AsyncIterator[Item]) -> asyncio.Task[Item | None]:
    async def read() -> Item | None:
        return await anext(items, None)

    return asyncio.create_task(read())


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
