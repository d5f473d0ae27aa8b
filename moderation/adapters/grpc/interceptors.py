"""What surrounds every RPC: its id, the error table, the bug report, the count and the time.

Left to itself, grpcio answers UNKNOWN with the text of a Python exception, both
for a handler that raises and for bytes that are no protobuf.
"""

import asyncio
import inspect
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Protocol, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc.aio import AbortError, ServerInterceptor, ServicerContext
from grpc_status.rpc_status import to_status

from moderation.adapters.grpc.request_ids import REQUEST_ID, request_id_from
from moderation.adapters.grpc.status import Refusal, ReportBug, refusal_for
from moderation.core.errors import InvalidRequest
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
        makers: dict[tuple[bool, bool], tuple[Callable[..., Handler], Any]] = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }
        make, behaviour = makers[handler.request_streaming, handler.response_streaming]
        # Generated code answers a stream by a generator; grpcio's health service by writing.
        guard = self._guarded_stream if inspect.isasyncgenfunction(behaviour) else self._guarded
        return make(
            guard(behaviour, method),
            request_deserializer=_tolerant(handler.request_deserializer),
            response_serializer=handler.response_serializer,
        )

    def _guarded(self, behaviour: Answer, method: str) -> Answer:
        async def answer(request: object, context: Context) -> object:
            async with self._answering(method, context):
                if isinstance(request, InvalidRequest):
                    raise request
                return await behaviour(request, context)

        return answer

    def _guarded_stream(self, behaviour: AnswerStream, method: str) -> AnswerStream:
        async def answer(request: object, context: Context) -> AsyncGenerator[object, None]:
            async with (
                self._answering(method, context),
                aclosing(behaviour(request, context)) as responses,
            ):
                if isinstance(request, InvalidRequest):
                    raise request
                async for response in responses:
                    yield response

        return answer

    @asynccontextmanager
    async def _answering(self, method: str, context: Context) -> AsyncIterator[None]:
        started = time.monotonic()
        code = grpc.StatusCode.OK
        metadata = tuple(context.invocation_metadata() or ())
        request_id = request_id_from(metadata)
        span = self._tracer.begin(method, metadata, request_id)
        work_for(RequestContext(request_id, span.trace_id, span.is_sampled))
        # After the answer, where it costs no message of its own. See `abort` for errors.
        context.set_trailing_metadata(((REQUEST_ID, request_id),))
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = _why_cancelled(context)
            raise
        except AbortError:
            code = _code_of(context)
            raise
        except Exception as error:  # grpcio would answer UNKNOWN with the exception's text
            refusal = refusal_for(error, self._report_bug)
            code = refusal.code
            await abort(context, refusal)
        finally:
            self._telemetry.rpc_finished(method, code.name, time.monotonic() - started)
            span.end(code.name)


async def abort(context: Context, refusal: Refusal) -> None:
    """End the RPC with a refusal; raises AbortError."""
    status = to_status(refusal.to_status())
    # In place of what was set before: grpcio keeps one or the other.
    metadata = (
        *(status.trailing_metadata or ()),
        *refusal.trailing_metadata(),
        (REQUEST_ID, current_request().request_id),
    )
    await context.abort(refusal.code, refusal.message, metadata)


def _tolerant(deserializer: Deserializer | None) -> Deserializer | None:
    """Let bytes that cannot be parsed arrive as the error to answer them with."""
    if deserializer is None:
        return None

    def deserialize(message: bytes) -> object:
        try:
            return deserializer(message)
        except DecodeError:
            return InvalidRequest("message", "is not valid protobuf of the expected type")

    return deserialize


def _why_cancelled(context: Context) -> grpc.StatusCode:
    left_s = context.time_remaining()
    is_late = left_s is not None and left_s <= EARLY_S
    return grpc.StatusCode.DEADLINE_EXCEEDED if is_late else grpc.StatusCode.CANCELLED


def _code_of(context: Context) -> grpc.StatusCode:
    code = context.code()
    known = {status.value[0]: status for status in grpc.StatusCode}
    return code if isinstance(code, grpc.StatusCode) else known.get(code, grpc.StatusCode.UNKNOWN)
