"""What processes take of the machine, as Linux tells it; elsewhere it is nothing."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from moderation.service.pools import ProcessUse

PROC = Path("/proc")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
USER_TICKS, SYSTEM_TICKS, RESIDENT_PAGES = 11, 12, 21
"""Of what follows the name in `stat`; see proc(5), which counts two fields more, and from 1."""


def process_use(pids: Iterable[int], *, proc: Path = PROC) -> ProcessUse:
    """Of these together; one that has gone takes nothing."""
    cpu_ticks = pages = 0
    for pid in pids:
        with suppress(OSError):
            _, _, told = (proc / str(pid) / "stat").read_text().rpartition(")")
            fields = told.split()
            cpu_ticks += int(fields[USER_TICKS]) + int(fields[SYSTEM_TICKS])
            pages += int(fields[RESIDENT_PAGES])
    return ProcessUse(cpu_ticks / TICKS_PER_S, pages * PAGE_BYTES)
