"""Metrics of what is taken of all that is bounded, asked for at every scrape."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import catalog
from moderation.service.pools import PoolUse


class PoolMetrics(Collector):
    """Of the decoders, of images under way, and of images being fetched."""

    def __init__(self) -> None:
        self.use: Callable[[], PoolUse] = PoolUse
        """Asked on another thread."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        use = self.use()
        yield catalog.gauge_family("moderation_decoders", use.decoders)
        yield catalog.gauge_family("moderation_decoders_busy", use.decoders_busy)
        yield catalog.gauge_family("moderation_decode_waiting", use.decode_waiting)
        yield catalog.counter_family("moderation_decoder_cpu_seconds", use.decoder_processes.cpu_s)
        yield catalog.gauge_family(
            "moderation_decoder_resident_memory_bytes", use.decoder_processes.memory_bytes
        )
        yield catalog.gauge_family("moderation_in_flight_bytes", use.in_flight_bytes)
        yield catalog.gauge_family("moderation_image_fetches_in_flight", use.fetches_in_flight)
