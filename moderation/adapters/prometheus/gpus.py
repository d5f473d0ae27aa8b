"""Metrics of GPUs, where there are any."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import catalog
from moderation.service.gpus import GpuUse


class GpuMetrics(Collector):
    """What each GPU does, asked at every scrape; no series without one."""

    def __init__(self) -> None:
        self.use: Callable[[], Sequence[GpuUse]] = tuple
        """Asked on another thread."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        used = catalog.gauge_family("moderation_gpu_memory_used_bytes")
        memory = catalog.gauge_family("moderation_gpu_memory_bytes")
        utilization = catalog.gauge_family("moderation_gpu_utilization_ratio")
        for one in self.use():
            gpu = [str(one.number)]
            used.add_metric(gpu, one.memory_used_bytes)
            memory.add_metric(gpu, one.memory_bytes)
            utilization.add_metric(gpu, one.utilization)
        yield from (used, memory, utilization)
