"""Metrics of the certificates by which connections are secured."""

from datetime import datetime

from prometheus_client import CollectorRegistry

from moderation.adapters.prometheus import catalog


class CertificateMetrics:
    """Fulfils the certificates' telemetry; without TLS no date is shown."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._not_after = catalog.gauge("moderation_tls_not_after_timestamp_seconds", registry)
        self._failed = catalog.gauge("moderation_tls_reload_failed", registry)
        self._failures = catalog.counter("moderation_tls_reload_failures", registry)

    def certificates_loaded(
        self,
        *,
        serial: str,
        not_after: datetime,
        client_ca_not_after: datetime | None,
        key_is_exposed: bool,
    ) -> None:
        """See CertificateTelemetry."""
        self._failed.set(0)
        self._not_after.labels("server").set(not_after.timestamp())
        if client_ca_not_after is not None:
            self._not_after.labels("client_ca").set(client_ca_not_after.timestamp())

    def certificates_rejected(self, reason: str) -> None:
        """See CertificateTelemetry."""
        self._failed.set(1)
        self._failures.inc()
