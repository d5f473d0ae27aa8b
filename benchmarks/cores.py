"""Which cores a process may use, and for how long it used them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class Split:
    """The cores of this machine, dealt out to those who must not take each other's."""

    server: frozenset[int]
    generator: frozenset[int]


def split_cores(for_generator: int) -> Split:
    """The last cores for the generator, the rest for the server; raises SystemExit for too few."""
    cores = sorted(os.sched_getaffinity(0))
    if not 0 < for_generator < len(cores):
        raise SystemExit(
            f"of {len(cores)} cores, {for_generator} for the generator leave none for the server, "
            "or it has none itself; run this on two cores at least"
        )
    return Split(frozenset(cores[:-for_generator]), frozenset(cores[-for_generator:]))


@contextmanager
def on_cores(cores: frozenset[int]) -> Iterator[None]:
    """What is started in this context runs on these cores for as long as it lives."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Spent:
    """Seconds of processor time."""

    all_s: float
    """Of a process and those that it started."""
    main_s: float
    """Of its first thread, on which Python's event loop runs."""

    def since(self, before: "Spent") -> "Spent":
        """What was spent in between."""
        return Spent(self.all_s - before.all_s, self.main_s - before.main_s)


def spent_by(pid: int) -> Spent:
    """What a process has spent so far, to a hundredth of a second."""
    first = psutil.Process(pid)
    times = [one.cpu_times() for one in (first, *first.children(recursive=True))]
    main_s = sum(one.user_time + one.system_time for one in first.threads() if one.id == pid)
    return Spent(sum(one.user + one.system for one in times), main_s)
