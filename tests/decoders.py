"""Finds the processes in which pictures are decoded, for tests that kill and question them."""

import time
from collections.abc import Callable
from typing import TypeAlias

import psutil

from moderation.adapters.images.workers import MODULE

Find: TypeAlias = Callable[[], list[psutil.Process]]

PATIENCE_S = 20.0
READY_S = 4.0
"""Until a new process takes pictures: 0.3 s with a core to itself, which tests do not leave it."""
EVERY_S = 0.01
WORKED_S = 0.05


def decoders_of(owner: int) -> list[psutil.Process]:
    """The decoding processes of this process."""
    return [one for one in psutil.Process(owner).children() if is_decoder(one)]


def is_decoder(process: psutil.Process) -> bool:
    try:
        return MODULE in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def is_ready(decoder: psutil.Process) -> bool:
    """Whether it has given up its rights already."""
    try:
        return decoder.rlimit(psutil.RLIMIT_NOFILE) == (0, 0)
    except psutil.NoSuchProcess:
        return False


def is_running(decoder: psutil.Process) -> bool:
    """Whether it computes right now."""
    try:
        return bool(decoder.status() == psutil.STATUS_RUNNING)
    except psutil.NoSuchProcess:
        return False


def is_gone(decoder: psutil.Process) -> bool:
    """Whether it has ended. Whoever inherits an orphan may take its time to notice."""
    try:
        return bool(decoder.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def ready_decoders(find: Find) -> list[psutil.Process]:
    return [one for one in find() if is_ready(one)]


def idle_decoders(find: Find) -> list[psutil.Process]:
    return [one for one in ready_decoders(find) if not is_running(one)]


def busy_decoder(find: Find) -> psutil.Process:
    """One that is in the middle of a picture, and not merely about to read it."""
    found: list[psutil.Process] = []
    first_seen: dict[int, float] = {}

    def look() -> bool:
        for one in ready_decoders(find):
            used_s = one.cpu_times().user
            if used_s - first_seen.setdefault(one.pid, used_s) >= WORKED_S:
                found.append(one)
        return bool(found)

    seconds_until(look)
    return found[0]


def seconds_until(condition: Callable[[], bool]) -> float:
    """Wait for what another process does; how long it took."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < PATIENCE_S, "it did not happen in time"
        time.sleep(EVERY_S)
    return time.monotonic() - started
