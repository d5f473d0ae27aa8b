"""What the log shows of callers: who was refused and why, never a secret."""

import time
from collections.abc import Callable, Sequence

import structlog

from moderation.core.errors import AccessReason, AccessRefused, Problem

QUIET_S = 10.0
"""Anybody can be refused, as often as they like: the log tells of it so often."""
MAX_TOLD = 10_000


class AccessLog:
    """An AccessTelemetry that writes to the log; refusals at most one a reason and credential."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = structlog.get_logger("moderation")
        self._clock = clock
        self._told_at: dict[tuple[AccessReason, str], float] = {}

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """See AccessTelemetry."""
        # An id that nobody has given away is the caller's own invention.
        known = "" if refusal.reason is AccessReason.UNKNOWN else refusal.credential
        about, now = (refusal.reason, known), self._clock()
        if now < self._told_at.get(about, -QUIET_S) + QUIET_S:
            return
        if len(self._told_at) >= MAX_TOLD:
            self._told_at.clear()
        self._told_at[about] = now
        self._log.warning(
            "access_refused",
            reason=refusal.reason.value,
            credential=refusal.credential or None,
            method=method,
        )

    def keys_loaded(self, *, tenants: int, keys: int, certificates: int, is_exposed: bool) -> None:
        """See AccessTelemetry."""
        self._log.info("keys_loaded", tenants=tenants, keys=keys, certificates=certificates)
        if is_exposed:
            cure = "chmod 600, or defaultMode 0440 of the Secret"
            self._log.warning("keys_file_readable_by_everybody", cure=cure)

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        for problem in problems:
            self._log.error("keys_rejected", problem=str(problem))

    def signers_loaded(self, keys: int) -> None:
        """See AccessTelemetry."""
        self._log.info("signers_loaded", keys=keys)

    def signers_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        for problem in problems:
            self._log.error("signers_rejected", problem=str(problem))

    def open_to_everyone(self, address: str) -> None:
        """Say that callers are not told apart on an address that other machines can reach."""
        cure = "give callers keys or tokens, or keep others away by a network policy or a proxy"
        self._log.warning("open_to_everyone", address=address, cure=cure)
