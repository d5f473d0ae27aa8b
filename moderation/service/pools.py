"""What is taken of all that the service has a bounded amount of, for whoever watches."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class ProcessUse:
    """What other processes of the service take."""

    cpu_s: float = 0.0
    """Since the start, those that have ended included; never less than before."""
    memory_bytes: int = 0
    """Resident, of those that run."""


@dataclass(frozen=True, slots=True)
class PoolUse:
    """All of it, at one moment."""

    decoders: int = 0
    """Images that can be decoded at once."""
    decoders_busy: int = 0
    decode_waiting: int = 0
    """Images that wait for a decoder."""
    decoder_processes: ProcessUse = ProcessUse()
    in_flight_bytes: int = 0
    """Of the images of all requests under way, those to be fetched included."""
    fetches_in_flight: int = 0


class Pool:
    """How many places there are to work at, how many are taken, and how many tasks wait for one.

    It counts, and keeps nobody out.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.busy = 0
        self.waiting = 0
        self.lock = Lock()  # tasks begin on other threads than they are asked for on

    @contextmanager
    def asked(self) -> Iterator["Task"]:
        """A task that waits from now on, unless it has begun, until the context ends."""
        task = Task(self)
        try:
            yield task
        finally:
            task.give_up()


class Task:
    """One piece of work for a pool."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._is_waiting = True
        with pool.lock:
            pool.waiting += 1

    @contextmanager
    def working(self) -> Iterator[None]:
        """It is being done while in the context, whether somebody still wants it or not."""
        self.give_up()
        with self._pool.lock:
            self._pool.busy += 1
        try:
            yield
        finally:
            with self._pool.lock:
                self._pool.busy -= 1

    def give_up(self) -> None:
        """It waits no longer."""
        with self._pool.lock:
            self._pool.waiting -= self._is_waiting
            self._is_waiting = False
