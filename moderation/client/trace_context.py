"""The trace that the program is in, for the service to be a part of it, if it is in any."""

import sys


def trace_headers() -> tuple[tuple[str, str], ...]:
    """`traceparent`, and `tracestate` if there is one; nothing outside of a trace.

    A program that never imported OpenTelemetry is in none, and does not import it here.
    """
    if "opentelemetry.trace" not in sys.modules:
        return ()
    from opentelemetry.trace.propagation.tracecontext import (  # noqa: PLC0415 - not needed
        TraceContextTextMapPropagator,
    )

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return tuple(carrier.items())
