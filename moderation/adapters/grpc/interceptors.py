"""What surrounds every RPC: its id, the error table, the bug report, the count and the time.

Left to itself, grpcio answers UNKNOWN with the text of a Python exception. MessageInterceptor is
for the same with bytes that are no protobuf.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NoReturn, Protocol, Self, TypeAlias

import grpc
from grpc.aio import AbortError, InternalError, ServerInterceptor, ServicerContext

from moderation.adapters.grpc.request_ids import REQUEST_ID, request_id_from
from moderation.adapters.grpc.status import Refusal, ReportBug, refusal_for, trailers_of
from moderation.core.errors import ModerationError
from moderation.service.request_context import RequestContext, current_request, work_for
from moderation.service.tracing import NO_TRACER, Tracer

# Generic in the stubs only, hence the quotes.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
MaybeHandler: TypeAlias = "grpc.RpcMethodHandler[Any, Any] | None"
Context: TypeAlias = "ServicerContext[Any, Any]"
Deserializer = Callable[[bytes], object]
Answer = Callable[[Any, Context], Awaitable[object]]
AnswerStream = Callable[[Any, Context], AsyncGenerator[object, None]]

EARLY_S = 0.1
"""A caller's clock started before ours, and gRPC rounds the time up that it sends: the caller's
deadline passes so much before the one that is known here."""


FORMS: Mapping[tuple[bool, bool], Callable[[Handler], tuple[Callable[..., Handler], Any]]] = {
    (False, False): lambda one: (grpc.unary_unary_rpc_method_handler, one.unary_unary),
    (False, True): lambda one: (grpc.unary_stream_rpc_method_handler, one.unary_stream),
    (True, False): lambda one: (grpc.stream_unary_rpc_method_handler, one.stream_unary),
    (True, True): lambda one: (grpc.stream_stream_rpc_method_handler, one.stream_stream),
}
"""What makes a handler, and what it does, by whether request and response are streams."""


class RpcTelemetry(Protocol):
    """What operators get to see of RPCs; must not raise and must not block."""

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """An RPC was answered with this status code."""
        ...


class EdgeInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # as above
    """Names, counts and times RPCs, and translates errors, for every service on the server."""

    def __init__(
        self,
        telemetry: RpcTelemetry,
        report_bug: ReportBug,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._telemetry = telemetry
        self._report_bug = report_bug
        self._tracer = tracer

    async def intercept_service(  # type: ignore[override]  # the stub forgets unknown methods
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """Wrap the handler of a method; an unknown method has none, and grpcio says so."""
        handler = await continuation(handler_call_details)
        if handler is None:
            self._telemetry.rpc_finished("unknown", grpc.StatusCode.UNIMPLEMENTED.name, 0.0)
            return None
        return self._wrapped(handler, handler_call_details.method)

    def _wrapped(self, handler: Handler, method: str) -> Handler:
        make, behaviour = FORMS[handler.request_streaming, handler.response_streaming](handler)
        # All methods answer a stream by a generator, but `unread` answers any call once.
        guard = self._guarded_stream if inspect.isasyncgenfunction(behaviour) else self._guarded
        return make(
            guard(behaviour, method),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, behaviour: Answer, method: str) -> Answer:
        async def answer(request: object, context: Context) -> object:
            async with self._answering(method, context) as answering:
                response = await behaviour(request, context)
                if not isinstance(response, ModerationError):
                    return response
                answering.refuse(response)
                return None

        return answer

    def _guarded_stream(self, behaviour: AnswerStream, method: str) -> AnswerStream:
        async def answer(request: object, context: Context) -> AsyncGenerator[object, None]:
            async with (
                self._answering(method, context),
                aclosing(behaviour(request, context)) as responses,
            ):
                async for response in responses:
                    yield response

        return answer

    def _answering(self, method: str, context: Context) -> "_Answering":
        return _Answering(method, context, self._telemetry, self._report_bug, self._tracer)


class _Answering:
    """One RPC, from the moment that it is answered by its method until it has its status.

    No generator in a decorator: around every RPC that would take twice the time.
    """

    def __init__(
        self,
        method: str,
        context: Context,
        telemetry: RpcTelemetry,
        report_bug: ReportBug,
        tracer: Tracer,
    ) -> None:
        self._method = method
        self._context = context
        self._telemetry = telemetry
        self._report_bug = report_bug
        self._started = time.monotonic()
        self._code = grpc.StatusCode.OK
        metadata = tuple(context.invocation_metadata() or ())
        self._request_id = request_id_from(metadata)
        self._span = tracer.begin(method, metadata, self._request_id)

    async def __aenter__(self) -> Self:
        span = self._span
        work_for(RequestContext(self._request_id, span.trace_id, span.is_sampled))
        # After the answer, where it costs no message of its own. See `abort` for errors.
        self._context.set_trailing_metadata(((REQUEST_ID, self._request_id),))
        _UNDER_WAY.set(self)
        return self

    def begin(self) -> None:
        """Count its time from now on."""
        self._started = time.monotonic()

    def refuse(self, error: ModerationError) -> None:
        """Let the RPC end with an error that was returned; to raise it takes longer."""
        refusal = refusal_for(error, self._report_bug)
        self._code = refusal.code
        self._context.set_code(refusal.code)
        self._context.set_details(refusal.message)
        self._context.set_trailing_metadata(_trailers(refusal))

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is not None:
                await self._failed(exc)
        finally:
            code = self._code.name
            self._telemetry.rpc_finished(self._method, code, time.monotonic() - self._started)
            self._span.end(code)

    async def _failed(self, error: BaseException) -> None:
        match error:
            case asyncio.CancelledError() | GeneratorExit():
                self._code = _why_cancelled(self._context)
            case AbortError():
                self._code = _code_of(self._context)
            case InternalError():
                self._gone(error)
            case Exception():  # grpcio would answer UNKNOWN with the exception's text
                refusal = refusal_for(error, self._report_bug)
                self._code = refusal.code
                try:
                    await abort(self._context, refusal)
                except (InternalError, asyncio.CancelledError):
                    self._gone(error)

    def _gone(self, error: BaseException) -> NoReturn:
        """End as if the news had come first that nobody waits for the answer any more.

        grpcio knows that a call is over before it cancels what answers it, and meanwhile fails to
        send: left to itself, it logs that as an error.
        """
        self._code = _why_cancelled(self._context)
        raise asyncio.CancelledError from error


_UNDER_WAY: ContextVar[_Answering] = ContextVar("under way")


def message_arrived() -> None:
    """Let the time of the RPC at hand begin now: how long its message took is its caller's."""
    _UNDER_WAY.get().begin()


async def abort(context: Context, refusal: Refusal) -> None:
    """End the RPC with a refusal; raises AbortError."""
    await context.abort(refusal.code, refusal.message, _trailers(refusal))


def _trailers(refusal: Refusal) -> tuple[tuple[str, str | bytes], ...]:
    """All that goes with the status, in place of what was set before: grpcio keeps one of them."""
    return (*trailers_of(refusal), (REQUEST_ID, current_request().request_id))


def _why_cancelled(context: Context) -> grpc.StatusCode:
    left_s = context.time_remaining()
    is_late = left_s is not None and left_s <= EARLY_S
    return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED


def _code_of(context: Context) -> grpc.StatusCode:
    code = context.code()
    known = {status.value[0]: status for status in grpc.StatusCode}
    return code if isinstance(code, grpc.StatusCode) else known.get(code, grpc.StatusCode.UNKNOWN)
