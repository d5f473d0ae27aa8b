"""Notices that the policy directory may have changed, by the kernel's word and by the clock.

watchfiles tells of edits, atomic renames and the swap of a Kubernetes ConfigMap.
What it cannot tell is found by looking: every `CHECK_S` whether the directory is
still the one that is watched, and every `recheck_s` a change is assumed, for file
systems that report none. A reload of unchanged files costs little.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from watchfiles import Change, awatch

CHECK_S = 0.25
DEBOUNCE_MS = 50
"""Longest time over which one burst is gathered; an edit is told about 30 ms after it."""
STEP_MS = 20
CONFIG_MAP_PREFIX = ".."
"""Of the names by which Kubernetes swaps the whole content of a mounted ConfigMap."""
SUFFIXES = (".yaml", ".yml", ".lock")

_Burst: TypeAlias = set[tuple[Change, str]]
_Identity: TypeAlias = tuple[int, int] | None


class PolicyWatcher:
    """A ChangeFeed over one directory, which may vanish and come back meanwhile.

    Close it to end `changes`, which happens within about 20 ms; as a context
    manager it closes itself.
    """

    def __init__(
        self, directory: Path, *, recheck_s: float, suffixes: tuple[str, ...] = SUFFIXES
    ) -> None:
        self._directory = directory.absolute()
        self._recheck_s = recheck_s
        self._suffixes = suffixes
        self._closed = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Nothing to start: watching begins with the first item asked for."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End `changes`."""
        self.close()

    def close(self) -> None:
        """End `changes`; may be called more than once."""
        self._closed.set()

    async def changes(self) -> AsyncGenerator[None, None]:
        """One item for each burst of changes.

        One comes shortly after the start as well, for an edit made before watching began.
        """
        while not self._closed.is_set():
            identity = await asyncio.to_thread(_identity, self._directory)
            if identity is None:
                await self._pause()
                continue
            async with aclosing(self._changes_of(identity)) as changes:
                async for _ in changes:
                    yield

    async def _changes_of(self, identity: _Identity) -> AsyncGenerator[None, None]:
        """Changes of the directory until another, or none, stands in its place."""
        now = asyncio.get_running_loop().time
        due_at = now()
        async with aclosing(self._wakings()) as wakings:
            async for burst in wakings:
                is_same = identity == await asyncio.to_thread(_identity, self._directory)
                if burst or not is_same or now() >= due_at:
                    due_at = now() + self._recheck_s
                    yield
                # A directory made anew may get the old one's inode number.
                if not is_same or any(path == str(self._directory) for _, path in burst):
                    return

    async def _wakings(self) -> AsyncGenerator[_Burst, None]:
        """What has changed, or nothing if nothing has for `CHECK_S`."""
        while not self._closed.is_set():
            try:
                async with aclosing(self._bursts()) as bursts:
                    async for burst in bursts:
                        yield burst
            except (OSError, RuntimeError):
                # Gone meanwhile, or the kernel has no watch left to give: the clock must do.
                await self._pause()
                yield set()

    def _bursts(self) -> AsyncGenerator[_Burst, None]:
        return awatch(
            self._directory,
            watch_filter=self._is_relevant,
            debounce=DEBOUNCE_MS,
            step=STEP_MS,
            stop_event=self._closed,
            rust_timeout=int(CHECK_S * 1000),
            yield_on_timeout=True,
            recursive=False,
        )

    def _is_relevant(self, _change: Change, path: str) -> bool:
        name = os.path.basename(path)
        if name.startswith(CONFIG_MAP_PREFIX) or path == str(self._directory):
            return True
        return not name.startswith(".") and name.lower().endswith(self._suffixes)

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_S):
                await self._closed.wait()


def _identity(directory: Path) -> _Identity:
    """What tells a directory from another one that takes its place; None if there is none."""
    try:
        status = directory.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
