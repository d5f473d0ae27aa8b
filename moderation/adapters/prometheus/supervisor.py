"""What a supervisor itself has to show beside its workers' metrics."""

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)


class SupervisorMetrics:
    """Of the workers as processes; in a registry of their own."""

    def __init__(self, wanted: int, listening: Callable[[], int]) -> None:
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        Gauge(
            "moderation_workers", "Worker processes that take requests.", registry=self.registry
        ).set_function(listening)
        Gauge(
            "moderation_workers_wanted",
            "Worker processes that there are meant to be.",
            registry=self.registry,
        ).set(wanted)
        self.lost = Counter(
            "moderation_worker_restarts",
            "Worker processes that ended unasked, and were replaced.",
            registry=self.registry,
        )
