"""Does the same work once for all who want it at the same time."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from moderation.service.lanes import Urgency

Key = TypeVar("Key")
Result = TypeVar("Result")


@dataclass(slots=True, eq=False)
class _Work(Generic[Result]):
    task: asyncio.Task[Result]
    urgency: Urgency
    callers: int = 0


class SharedWork(Generic[Key, Result]):
    """Whoever comes while the work for its key is under way waits for that, and adds nothing.

    The work belongs to no caller: one that leaves fails nobody. When the last one
    has left, the work is cancelled.
    """

    def __init__(self) -> None:
        self._under_way: dict[Key, _Work[Result]] = {}

    def is_under_way(self, key: Key) -> bool:
        """Whether somebody waits for this already."""
        return key in self._under_way

    async def result(
        self, key: Key, urgency: Urgency, work: Callable[[Urgency], Coroutine[Any, Any, Result]]
    ) -> Result:
        """What the work gives or raises; it is given an urgency that joins its callers'."""
        shared = self._under_way.get(key)
        if shared is None:
            shared = self._start(key, urgency, work)
        else:
            shared.urgency.join(urgency)
        shared.callers += 1
        try:
            return await asyncio.shield(shared.task)
        finally:
            shared.callers -= 1
            if not shared.callers:
                shared.task.cancel()  # does nothing to work that is done
                self._forget(key, shared)
            # An error keeps this frame, and the task keeps the error: together they would keep
            # the content until the garbage collector looks, which is late for large ones.
            del shared

    def _start(
        self, key: Key, urgency: Urgency, work: Callable[[Urgency], Coroutine[Any, Any, Result]]
    ) -> _Work[Result]:
        common = Urgency(urgency.priority, urgency.deadline)
        shared = _Work(asyncio.create_task(work(common)), common)
        self._under_way[key] = shared
        # At once, and not when the first caller wakes: what is done is for the cache to know.
        shared.task.add_done_callback(lambda _: self._forget(key, shared))
        return shared

    def _forget(self, key: Key, shared: _Work[Result]) -> None:
        if self._under_way.get(key) is shared:  # newcomers may have begun anew
            del self._under_way[key]
