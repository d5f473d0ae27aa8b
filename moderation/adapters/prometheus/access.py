"""The metrics of callers and their credentials."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import catalog
from moderation.core.errors import AccessReason, AccessRefused, Problem
from moderation.service.tenants import TenantUsage

MAX_TENANTS = 200
"""How many tenants have series of their own; the others are shown together."""
OTHERS = "(others)"
"""No tenant can be called so."""


class AccessMetrics:
    """An AccessTelemetry in a registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._refusals = catalog.counter("moderation_auth_refusals", registry)
        self._failed = catalog.gauge("moderation_keys_reload_failed", registry)
        self._signers_failed = catalog.gauge("moderation_jwks_reload_failed", registry)
        for reason in AccessReason:  # a rate needs a first value
            self._refusals.labels(reason.value)

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        """See AccessTelemetry."""
        self._refusals.labels(refusal.reason.value).inc()

    def keys_loaded(self, *, tenants: int, keys: int, certificates: int, is_exposed: bool) -> None:
        """See AccessTelemetry."""
        self._failed.set(0)

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        self._failed.set(1)

    def signers_loaded(self, keys: int) -> None:
        """See AccessTelemetry."""
        self._signers_failed.set(0)

    def signers_rejected(self, problems: Sequence[Problem]) -> None:
        """See AccessTelemetry."""
        self._signers_failed.set(1)


class TenantMetrics(Collector):
    """What each tenant asks; tenants that were removed vanish at the next scrape."""

    def __init__(self) -> None:
        self.usage: Callable[[], Sequence[TenantUsage]] = tuple
        """Asked at every scrape, on another thread."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        in_flight = catalog.gauge_family("moderation_tenant_in_flight")
        admitted = catalog.counter_family("moderation_tenant_admitted")
        shed = catalog.counter_family("moderation_tenant_shed")
        for one in _bounded(self.usage()):
            in_flight.add_metric([one.tenant], one.in_flight)
            admitted.add_metric([one.tenant], one.admitted)
            shed.add_metric([one.tenant], one.shed)
        yield from (in_flight, admitted, shed)


def _bounded(usage: Sequence[TenantUsage]) -> Iterator[TenantUsage]:
    yield from usage[:MAX_TENANTS]
    if rest := usage[MAX_TENANTS:]:
        yield TenantUsage(
            OTHERS,
            sum(one.in_flight for one in rest),
            sum(one.admitted for one in rest),
            sum(one.shed for one in rest),
        )
