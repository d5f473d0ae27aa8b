"""Spans by OpenTelemetry's conventions: one for an RPC, and one for each of its stages below it.

What they say of content is what a decision says: never its id, a phrase, or the text of an error.
"""

import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Self

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.semconv._incubating.attributes import rpc_attributes as rpc
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.trace import Tracer as OtelTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from moderation.core.decision import Decision
from moderation.service.tracing import NO_REQUEST, NO_STAGE, RequestSpan, Stage, StageSpan

INFRASTRUCTURE = "/grpc."
"""Health checks and reflection, which come every other second and are nobody's request."""
OK = "OK"
SERVERS_FAULT = frozenset(
    {"UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"}
)
"""Status codes that make a server's span an error, by the conventions."""
PROPAGATED = ("traceparent", "tracestate")

_current: ContextVar[Span | None] = ContextVar("span", default=None)


class SpanTracer:
    """Makes the spans of RPCs and of their stages; fulfils the edge's and the service's tracer."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._tracer = provider.get_tracer("moderation", version)
        self._propagator = TraceContextTextMapPropagator()

    def begin(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]], request_id: str
    ) -> RequestSpan:
        """See Tracer; a trace context that is malformed counts as none."""
        if method.startswith(INFRASTRUCTURE):
            return NO_REQUEST
        carrier = {
            key: value for key, value in metadata if key in PROPAGATED and isinstance(value, str)
        }
        name = method.removeprefix("/")
        span = self._tracer.start_span(
            name,
            self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={
                rpc.RPC_SYSTEM_NAME: "grpc",
                rpc.RPC_METHOD: name,
                "moderation.request_id": request_id,
            },
        )
        _current.set(span)
        return _RpcSpan(span)

    def stage(self, stage: Stage) -> AbstractContextManager[StageSpan]:
        """See Tracer."""
        parent = _current.get()
        if parent is None or not parent.is_recording():
            return NO_STAGE
        return _StageSpan(self._tracer, stage, parent)

    def decided(self, decision: Decision) -> None:
        """See Tracer."""
        span = _current.get()
        if span is None or not span.is_recording():
            return
        failure = decision.failure.code.value if decision.failure else ""
        span.set_attributes(
            {
                "moderation.decision_id": decision.decision_id,
                "moderation.action": decision.action.name,
                "moderation.profile": decision.profile,
                "moderation.policy_set_version": decision.policy_set_version,
                "moderation.cached": decision.timings.cached,
                **({"moderation.failure_code": failure} if failure else {}),
            }
        )


class _RpcSpan:
    """The span of an RPC."""

    def __init__(self, span: Span) -> None:
        context = span.get_span_context()
        self._span = span
        self.trace_id = format_trace_id(context.trace_id)
        self.is_sampled = context.trace_flags.sampled

    def end(self, code: str) -> None:
        """See RequestSpan."""
        self._span.set_attribute(rpc.RPC_RESPONSE_STATUS_CODE, code)
        if code != OK:
            self._span.set_attribute(ERROR_TYPE, code)
        if code in SERVERS_FAULT:
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


class _StageSpan:
    """A span that is the current one while its context lasts."""

    def __init__(self, tracer: OtelTracer, stage: Stage, parent: Span) -> None:
        self._tracer = tracer
        self._context = set_span_in_context(parent)
        self._began_ns = time.time_ns()
        self._ended_ns: int | None = None
        self._span = tracer.start_span(stage.value, self._context, start_time=self._began_ns)

    def __enter__(self) -> Self:
        self._token: Token[Span | None] = _current.set(self._span)
        return self

    def hand_over(self, stage: Stage, seconds: float) -> None:
        """See StageSpan."""
        now_ns = time.time_ns()
        self._ended_ns = max(self._began_ns, now_ns - round(seconds * 1e9))
        following = self._tracer.start_span(stage.value, self._context, start_time=self._ended_ns)
        following.end(now_ns)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _current.reset(self._token)
        if exc_type is not None:  # by its name alone: texts of errors may quote a caller
            self._span.set_attribute(ERROR_TYPE, exc_type.__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end(self._ended_ns)
