"""How full this process's memory is: by its cgroup's limit, or by a limit of our own."""

import ctypes
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from moderation.adapters.cgroups import CGROUPS, PROC, groups_of

UNLIMITED = 2**60
"""The first version of cgroups says "no limit" by a number near 2**63."""
LOOK_EVERY_S = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
GIVES_BACK_FROM = 0.85
"""Share of the memory in use."""
GIVES_BACK_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of cgroups: the files of a group, by what they tell."""

    limit: str
    used: str
    reclaimable: str
    """In `memory.stat`: cached files, which the kernel drops before it kills anybody."""


VERSIONS: Mapping[int, _Version] = {
    1: _Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: _Version("memory.max", "memory.current", "inactive_file"),
}


def give_back() -> None:
    """Have the C library return to the kernel what was freed, of which it keeps much otherwise.

    After a burst of large messages a server could look full for as long as it runs. It may take
    some milliseconds, in which other threads run. Only glibc needs it, and has it.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def give_back_beside() -> None:
    """The same on a thread of its own, for an event loop that must not wait."""
    Thread(target=give_back, name="give-back-memory", daemon=True).start()


class MemoryGauge:
    """The share of its memory that the process takes, looked up a few times a second at most.

    When little is left, what was freed is given back every now and then.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 0,
        cgroups: Path = CGROUPS,
        proc: Path = PROC,
        clock: Callable[[], float] = time.monotonic,
        give_back: Callable[[], None] = give_back_beside,
    ) -> None:
        """`max_bytes` limits this process alone; 0 goes by the cgroup, if that has a limit."""
        self._max_bytes = max_bytes
        self._proc = proc
        self._clock = clock
        self._group = None if max_bytes else _limited_group(cgroups, proc)
        self._share = 0.0
        self._look_at = 0.0
        self._give_back = give_back
        self._give_back_at = 0.0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit at all."""
        return bool(self._max_bytes or self._group)

    @property
    def limit_bytes(self) -> int:
        """The limit; 0 where there is none. Raises OSError if the group is being taken away."""
        if self._group is None:
            return self._max_bytes
        group, version = self._group
        return int((group / version.limit).read_text())

    def share(self) -> float:
        """Memory in use over the limit; 0 where there is no limit."""
        now = self._clock()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY_S
            self._share = self._measured()
            if self._share > GIVES_BACK_FROM and now >= self._give_back_at:
                self._give_back_at = now + GIVES_BACK_EVERY_S
                self._give_back()
        return self._share

    def _measured(self) -> float:
        try:
            if self._max_bytes:
                return _resident_bytes(self._proc) / self._max_bytes
            return _used_share(*self._group) if self._group else 0.0
        except (OSError, ValueError):
            return self._share  # a group that is being taken away; the last look must do


def _limited_group(cgroups: Path, proc: Path) -> tuple[Path, _Version] | None:
    """The innermost group around this process whose limit is a number."""
    for group in groups_of("memory", cgroups=cgroups, proc=proc):
        version = VERSIONS[group.version]
        try:
            limit = (group.directory / version.limit).read_text().strip()
        except OSError:
            continue
        if limit != "max" and int(limit) < UNLIMITED:
            return group.directory, version
    return None


def _used_share(group: Path, version: _Version) -> float:
    used = int((group / version.used).read_text())
    for line in (group / "memory.stat").read_text().splitlines():
        name, _, number = line.partition(" ")
        if name == version.reclaimable:
            used -= int(number)
    return used / int((group / version.limit).read_text())


def _resident_bytes(proc: Path) -> int:
    return int((proc / "statm").read_text().split()[1]) * PAGE_BYTES
