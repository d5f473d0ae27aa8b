"""The time, the attempts and the name that one request has, all retries included."""

import math
import random
import time
from collections.abc import Callable
from uuid import uuid4

import grpc

from moderation.client.errors import ClientError

MAX_ATTEMPTS = 5
"""How often an overloaded service is asked, whatever it says."""
SPREAD = 0.2
"""Callers that were turned away together come back up to this fraction later than told."""

OUTAGE_SHARE = 0.5
"""The part of the time that is spent waiting for a service that cannot be reached."""
FIRST_PAUSE_S = 0.2
LAST_PAUSE_S = 2.0

GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})
"""Nobody took the call: a server that stops cancels what still arrives."""


class Budget:
    """Counts down from the moment it is made.

    `outage_share` is the part of `timeout_s` within which a service that is gone is asked
    again; what is left after that goes to the caller, who may have a better idea. All attempts
    go by one `request_id`, a random one unless it is given.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        outage_share: float = OUTAGE_SHARE,
        clock: Callable[[], float] = time.monotonic,
        request_id: str = "",
    ) -> None:
        self.request_id = request_id or uuid4().hex
        self._clock = clock
        self._deadline = clock() + timeout_s
        self._patient_s = timeout_s * (1.0 - outage_share)
        self._attempts = 0

    def left_s(self) -> float:
        """The time that is left, never below zero."""
        return max(0.0, self._deadline - self._clock())

    def pause_before_retry(self, error: ClientError) -> float | None:
        """How long to wait before trying again; None if that is not asked for or has no time.

        An overloaded service says when: without its word a retry only adds to the load.
        One that is gone cannot say, so the pauses grow from one attempt to the next.
        """
        self._attempts += 1
        told_s = error.retry_after_s
        if error.code in GONE and told_s is None:
            return self._pause_in_outage()
        may_retry = error.code in GONE or error.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        if not may_retry or told_s is None or self._attempts >= MAX_ATTEMPTS:
            return None
        pause_s = told_s * random.uniform(1.0, 1.0 + SPREAD)
        return pause_s if pause_s < self.left_s() else None

    def _pause_in_outage(self) -> float | None:
        doublings = min(self._attempts - 1, 10)
        longest_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2.0**doublings)
        pause_s = longest_s * random.uniform(1.0 - SPREAD, 1.0 + SPREAD)
        return pause_s if self.left_s() - pause_s > self._patient_s else None


def checked_timeout_s(timeout_s: float) -> float:
    """The time of a request; raises ValueError if nothing could be done in it."""
    if not 0 < timeout_s < math.inf:
        raise ValueError(f"timeout_s must be a number of seconds above 0, got {timeout_s!r}")
    return timeout_s
