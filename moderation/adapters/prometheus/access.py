"""The metrics of callers and their credentials."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge

from moderation.core.errors import AccessReason, AccessRefused, Problem


class AccessMetrics:
    """An AccessTelemetry in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refusals = Counter(
            "moderation_auth_refusals",
            "Calls that were refused for who made them, by reason.",
            ["reason"],
            registry=registry,
        )
        self._failed = Gauge(
            "moderation_keys_reload_failed",
            "1 while the file of keys cannot be used and the last good keys count.",
            registry=registry,
        )
        for reason in AccessReason:  # a rate needs a first value
            self._refusals.labels(reason.value)

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """See AccessTelemetry."""
        self._refusals.labels(refusal.reason.value).inc()

    def keys_loaded(self, *, tenants: int, keys: int, is_exposed: bool) -> None:
        """See AccessTelemetry."""
        self._failed.set(0)

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        self._failed.set(1)
