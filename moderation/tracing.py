"""From settings to traces: what makes and sends them, or nothing at all."""

from collections.abc import Iterator
from contextlib import contextmanager

from moderation import __version__
from moderation.service.ports import Telemetry
from moderation.service.tracing import NO_TRACER, Tracer
from moderation.settings import Settings


@contextmanager
def tracing(settings: Settings, telemetry: Telemetry) -> Iterator[Tracer]:
    """A tracer until the context ends; raises ImportError without the extra."""
    chosen = settings.tracing
    if not chosen.endpoint:
        yield NO_TRACER
        return
    try:
        from moderation.adapters.otel.sending import TraceSettings, span_tracer  # noqa: PLC0415
    except ImportError as error:
        needed = "tracing.endpoint needs the extra `tracing`: pip install 'moderation[tracing]'"
        raise ImportError(needed) from error
    wanted = TraceSettings(chosen.endpoint, chosen.sample_ratio, chosen.service_name, __version__)
    with span_tracer(wanted, telemetry) as tracer:
        yield tracer
