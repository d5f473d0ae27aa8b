"""What a supervisor itself has to show beside its workers' metrics."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from moderation.adapters.prometheus import catalog


class SupervisorMetrics:
    """Of the workers as processes; in a registry of their own."""

    def __init__(self, wanted: int, listening: Callable[[], int]) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        catalog.gauge("moderation_workers", self.registry).set_function(listening)
        catalog.gauge("moderation_workers_wanted", self.registry).set(wanted)
        self.lost = catalog.counter("moderation_worker_restarts", self.registry)
