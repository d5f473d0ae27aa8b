"""Holds what was last read without a mistake, and follows its source."""

import asyncio
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from moderation.core.errors import KeysRejected, Problem
from moderation.service.ports import ChangeFeed

Loaded = TypeVar("Loaded")
Loaded_co = TypeVar("Loaded_co", covariant=True)


class Source(Protocol[Loaded_co]):
    """Where it comes from. Called from a worker thread."""

    def load(self) -> Loaded_co:
        """What is there now; raises KeysRejected."""
        ...


class LastGood(Generic[Loaded]):
    """What a source said last that could be used. What is found again is told once."""

    def __init__(
        self,
        source: Source[Loaded],
        *,
        empty: Loaded,
        loaded: Callable[[Loaded], None],
        rejected: Callable[[tuple[Problem, ...]], None],
    ) -> None:
        self.value = empty
        self._source = source
        self._tell_loaded = loaded
        self._tell_rejected = rejected
        self._is_loaded = False
        self._problems: tuple[Problem, ...] = ()

    async def load(self) -> None:
        """Take over what the source says now; raises KeysRejected if it cannot be used."""
        loaded = await asyncio.to_thread(self._source.load)
        if self._is_loaded and loaded == self.value and not self._problems:
            return
        self.value, self._is_loaded, self._problems = loaded, True, ()
        self._tell_loaded(loaded)

    async def follow(self, feed: ChangeFeed) -> None:
        """Load again after every burst of changes, until the feed is closed."""
        async for _ in feed.changes():
            try:
                await self.load()
            except KeysRejected as rejected:
                if rejected.problems != self._problems:
                    self._problems = rejected.problems
                    self._tell_rejected(rejected.problems)
