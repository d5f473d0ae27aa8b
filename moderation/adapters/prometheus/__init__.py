"""What Prometheus scrapes: every metric of the service, and the port that shows them."""

from moderation.adapters.prometheus.endpoint import MetricsServer
from moderation.adapters.prometheus.telemetry import PrometheusTelemetry

__all__ = ["MetricsServer", "PrometheusTelemetry"]
