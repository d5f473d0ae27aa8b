"""Tells several audiences at once: metrics, logs, and whatever comes later."""

from collections.abc import Sequence

from moderation.core.decision import Decision
from moderation.core.errors import Problem
from moderation.service.ports import Telemetry


class FanOutTelemetry:
    """Passes every event on to each audience, in order."""

    def __init__(self, *audiences: Telemetry) -> None:
        self._audiences = audiences

    def decided(self, decision: Decision) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.decided(decision)

    def shed(self, reason: str) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.shed(reason)

    def queue_changed(self, depth: int) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.queue_changed(depth)

    def batch_encoded(self, size: int, seconds: float) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.batch_encoded(size, seconds)

    def policies_loaded(
        self, *, version: str, policies: int, embedded: int, seconds: float
    ) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.policies_loaded(
                version=version, policies=policies, embedded=embedded, seconds=seconds
            )

    def policies_unchanged(self, *, version: str) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.policies_unchanged(version=version)

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """See Telemetry."""
        for audience in self._audiences:
            audience.policies_rejected(problems)
