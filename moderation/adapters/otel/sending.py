"""The way of spans to a collector: off the way of requests, bounded, and counted where it fails."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock, Thread
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from moderation.adapters.otel.spans import SpanTracer
from moderation.service.outcomes import SpanLoss
from moderation.service.ports import Telemetry

TRACES_PATH = "/v1/traces"
MAX_WAITING = 4096
BATCH = 512
SEND_EVERY_S = 1.0
SENDING_S = 5.0
"""Longest that one batch is tried for."""
FLUSH_S = 2.0
"""Longest that a stop waits for the last spans."""


@dataclass(frozen=True, slots=True)
class TraceSettings:
    """Where spans go (a URL), the share of traces begun here that is kept, and by which name."""

    endpoint: str
    sample_ratio: float
    service_name: str
    version: str


@contextmanager
def span_tracer(settings: TraceSettings, telemetry: Telemetry) -> Iterator[SpanTracer]:
    """A tracer whose spans are sent until the context ends; whether anybody takes them or not."""
    # What it has to say at every failure is counted, and logged once.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    counted = _CountedExporter(
        OTLPSpanExporter(_traces_url(settings.endpoint), timeout=SENDING_S), telemetry
    )
    waiting = BoundedProcessor(counted, telemetry)
    provider = TracerProvider(
        # A caller that keeps its trace wants ours in it; others are drawn by their trace id.
        sampler=ParentBased(TraceIdRatioBased(settings.sample_ratio)),
        resource=Resource.create(
            {"service.name": settings.service_name, "service.version": settings.version}
        ),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(waiting)
    try:
        yield SpanTracer(provider, settings.version)
    finally:
        _stop(waiting, counted)


def _traces_url(endpoint: str) -> str:
    """Where OTLP has traces on a collector, unless the endpoint names another path."""
    parts = urlsplit(endpoint)
    return parts._replace(path=parts.path if parts.path.strip("/") else TRACES_PATH).geturl()


class _CountedExporter(SpanExporter):
    """Tells what became of each batch, and knows how many spans are on their way."""

    def __init__(self, exporter: SpanExporter, telemetry: Telemetry) -> None:
        self._exporter = exporter
        self._telemetry = telemetry
        self._lock = Lock()
        self.waiting = 0

    def take(self) -> bool:
        """Make room for one more span; False if too many wait."""
        with self._lock:
            if self.waiting >= MAX_WAITING:
                return False
            self.waiting += 1
            return True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """See SpanExporter."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            with self._lock:
                self.waiting -= len(spans)
            if result is SpanExportResult.SUCCESS:
                self._telemetry.spans_sent(len(spans))
            else:
                self._telemetry.spans_lost(len(spans), SpanLoss.NOT_TAKEN)
        return result

    def shutdown(self) -> None:
        """Break off what is being tried."""
        self._exporter.shutdown()


class BoundedProcessor(BatchSpanProcessor):
    """Drops what finds no room, and counts it: the one that it builds on would only say so."""

    def __init__(self, exporter: _CountedExporter, telemetry: Telemetry) -> None:
        super().__init__(
            exporter,
            max_queue_size=2 * MAX_WAITING,  # so that it never drops anything itself
            schedule_delay_millis=SEND_EVERY_S * 1000,
            max_export_batch_size=BATCH,
        )
        self._counted = exporter
        self._telemetry = telemetry

    def on_end(self, span: ReadableSpan) -> None:
        """See SpanProcessor."""
        if not (span.context and span.context.trace_flags.sampled):
            return
        if self._counted.take():
            super().on_end(span)
        else:
            self._telemetry.spans_lost(1, SpanLoss.QUEUE_FULL)


def _stop(waiting: BoundedProcessor, exporter: _CountedExporter) -> None:
    """Send what waits, for as long as a stop may take; then break off."""
    flushing = Thread(target=waiting.shutdown, name="spans-flush", daemon=True)
    flushing.start()
    flushing.join(FLUSH_S)
    if flushing.is_alive():
        exporter.shutdown()
