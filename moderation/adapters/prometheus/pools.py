"""Metrics of what is taken of all that is bounded, asked for at every scrape."""

from collections.abc import Callable, Iterator

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from moderation.service.pools import PoolUse


class PoolMetrics(Collector):
    """Of the decoders, of images under way, and of images being fetched."""

    def __init__(self) -> None:
        self.use: Callable[[], PoolUse] = PoolUse
        """Asked on another thread."""

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        use = self.use()
        yield GaugeMetricFamily(
            "moderation_decoders", "Images that can be decoded at once.", use.decoders
        )
        yield GaugeMetricFamily(
            "moderation_decoders_busy", "Decoders that are at work.", use.decoders_busy
        )
        yield GaugeMetricFamily(
            "moderation_decode_waiting", "Images that wait for a decoder.", use.decode_waiting
        )
        yield CounterMetricFamily(
            "moderation_decoder_cpu_seconds",
            "CPU time of the decoding processes, which process_cpu_seconds_total leaves out.",
            use.decoder_processes.cpu_s,
        )
        yield GaugeMetricFamily(
            "moderation_decoder_resident_memory_bytes",
            "Memory of the decoding processes, which process_resident_memory_bytes leaves out.",
            use.decoder_processes.memory_bytes,
        )
        yield GaugeMetricFamily(
            "moderation_in_flight_bytes",
            "Bytes of the images of requests under way.",
            use.in_flight_bytes,
        )
        yield GaugeMetricFamily(
            "moderation_image_fetches_in_flight",
            "Images that are being fetched.",
            use.fetches_in_flight,
        )
