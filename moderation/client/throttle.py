"""A client that asks less of a service which turns it away: what is refused here costs it nothing.

Client-side throttling as in "Handling Overload" of Google's book on site reliability: of the
requests of the last while, about twice as many are sent as were let in.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import grpc

from moderation.client.errors import ClientError, ServiceUnavailable

SENT_PER_ACCEPTED = 2.0
"""More than one, so that a client notices soon that there is room again."""
SENT_ANYWAY = 10
"""In one window, whatever became of them: few requests are no load, and say little."""
WINDOW_S = 30.0
SLOTS = 30


@dataclass(slots=True)
class _Slot:
    """What happened in one part of the window."""

    ends_at: float
    requests: int = 0
    accepted: int = 0


class Throttle:
    """Refuses the share of requests that the service would refuse; safe for several threads.

    A request that nobody turned away for want of room counts as let in, whatever its answer was;
    one that was given up counts for nothing.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`dice` gives numbers from 0 up to 1."""
        self._clock = clock
        self._dice = dice
        self._lock = threading.Lock()
        self._slots: deque[_Slot] = deque()
        self._requests = self._accepted = 0
        self._retry_after_s = 0.0

    def require_room(self, request_id: str) -> None:
        """Raise what the service would answer if it turned this request away, at its rate."""
        with self._lock:
            slot = self._slot()
            if self._dice() >= self._share_refused():
                return
            self._count(slot, accepted=False)
            retry_after_s = self._retry_after_s
        raise ServiceUnavailable(
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "not sent: the service turned most of the last requests away",
            retry_after_s=retry_after_s,
            request_id=request_id,
        )

    def answered(self, error: ClientError | None = None) -> None:
        """Learn what became of a request that was sent: None if it was answered."""
        told_s = None
        if error is not None and error.code is grpc.StatusCode.RESOURCE_EXHAUSTED:
            told_s = error.retry_after_s  # None: too large a message, say, which is no overload
        with self._lock:
            self._count(self._slot(), accepted=told_s is None)
            self._retry_after_s = self._retry_after_s if told_s is None else told_s

    def _share_refused(self) -> float:
        beyond = self._requests - SENT_PER_ACCEPTED * self._accepted - SENT_ANYWAY
        return max(0.0, beyond / (self._requests + 1))

    def _count(self, slot: _Slot, *, accepted: bool) -> None:
        slot.requests += 1
        slot.accepted += accepted
        self._requests += 1
        self._accepted += accepted

    def _slot(self) -> _Slot:
        """The current part of the window; what is older than that is forgotten."""
        now = self._clock()
        while self._slots and self._slots[0].ends_at <= now - WINDOW_S:
            old = self._slots.popleft()
            self._requests -= old.requests
            self._accepted -= old.accepted
        if not self._slots or self._slots[-1].ends_at <= now:
            self._slots.append(_Slot(now + WINDOW_S / SLOTS))
        return self._slots[-1]


class NoThrottle(Throttle):
    """Sends everything."""

    def require_room(self, request_id: str) -> None:
        """See Throttle."""

    def answered(self, error: ClientError | None = None) -> None:
        """See Throttle."""


NO_THROTTLE = NoThrottle()


class Throttles:
    """One for what somebody waits for and one for bulk: the service makes room for each apart."""

    def __init__(self, *, is_on: bool) -> None:
        self._interactive, self._bulk = (
            (Throttle(), Throttle()) if is_on else (NO_THROTTLE, NO_THROTTLE)
        )

    def of(self, *, bulk: bool) -> Throttle:
        """The one of a kind of requests."""
        return self._bulk if bulk else self._interactive
