"""The time and the attempts that one request has, all retries included."""

import random
import time
from collections.abc import Callable

import grpc

from moderation.client.errors import ClientError

MAX_ATTEMPTS = 5
SPREAD = 0.2
"""Callers that were turned away together come back up to this fraction later than told."""

MAY_RETRY = frozenset({grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE})


class Budget:
    """Counts down from the moment it is made."""

    def __init__(self, timeout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._deadline = clock() + timeout_s
        self._attempts = 0

    def left_s(self) -> float:
        """The time that is left, never below zero."""
        return max(0.0, self._deadline - self._clock())

    def pause_before_retry(self, error: ClientError) -> float | None:
        """How long to wait before trying again; None if that is not asked for or has no time.

        The service says when: without its word a retry only adds to an overload.
        """
        self._attempts += 1
        told_s = error.retry_after_s
        if error.code not in MAY_RETRY or told_s is None or self._attempts >= MAX_ATTEMPTS:
            return None
        pause_s = told_s * random.uniform(1.0, 1.0 + SPREAD)
        return pause_s if pause_s < self.left_s() else None
