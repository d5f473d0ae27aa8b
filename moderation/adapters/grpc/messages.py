"""Takes in the messages of calls: each in its time, and none that costs more than its bytes say."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from grpc.aio import EOF, ServerInterceptor  # type: ignore[attr-defined]  # no EOF in the stubs

from moderation.adapters.grpc.convert import MAX_POLICY_IDS
from moderation.adapters.grpc.fields import count_fields, nested_in
from moderation.adapters.grpc.interceptors import (
    FORMS,
    Answer,
    AnswerStream,
    Context,
    Deserializer,
    Handler,
    MaybeHandler,
    message_arrived,
)
from moderation.core.errors import DeadlineExceeded, InvalidRequest

FIELD = "message"
"""How refusals call the whole of it."""
SINGLE_FIELDS = 256
"""Which a message has once; more than there are, for callers that know more than this server."""
CONTENT_FIELDS = 16
"""Of one content; also more than there are."""
OVER_S = 0.05
"""For grpcio to cancel what answers a call that is over: the end of its message comes first."""


class MessageInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Waits for messages, and parses those that have few enough fields; put it next to the methods.

    All methods become such as take a stream, of which nothing is read unless it is asked for:
    grpcio waits for the message of the others itself, and as long as it takes.
    An item of a stream that cannot be taken arrives as the InvalidRequest to answer it with.
    """

    def __init__(self, *, max_batch_contents: int, max_arrival_s: float) -> None:
        self._max_fields = SINGLE_FIELDS + MAX_POLICY_IDS + CONTENT_FIELDS * max_batch_contents
        self._max_arrival_s = max_arrival_s
        self._handlers: dict[str, Handler] = {}
        """By method, as they do not differ from call to call."""

    async def intercept_service(  # type: ignore[override]  # the stub forgets unknown methods
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """The method's handler, behind what looks first; an unknown method has none."""
        method = handler_call_details.method
        if method not in self._handlers:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._handlers[method] = self._looking(handler, method)
        return self._handlers[method]

    def _looking(self, handler: Handler, method: str) -> Handler:
        _, behaviour = FORMS[handler.request_streaming, handler.response_streaming](handler)
        make, _ = FORMS[True, handler.response_streaming](handler)
        if not handler.request_streaming:
            of_one = self._of_one_streamed if handler.response_streaming else self._of_one
            behaviour = of_one(behaviour)
        return make(
            behaviour,
            request_deserializer=careful(
                handler.request_deserializer or bytes, method, most=self._max_fields
            ),
            response_serializer=handler.response_serializer,
        )

    def _of_one(self, behaviour: Answer) -> Answer:
        async def answer(_requests: object, context: Context) -> object:
            return await behaviour(await self._only(context), context)

        return answer

    def _of_one_streamed(self, behaviour: AnswerStream) -> AnswerStream:
        async def answer(_requests: object, context: Context) -> AsyncGenerator[object, None]:
            async with aclosing(behaviour(await self._only(context), context)) as responses:
                async for response in responses:
                    yield response

        return answer

    async def _only(self, context: Context) -> object:
        """The message of a call that has one; raises InvalidRequest or DeadlineExceeded."""
        try:
            async with asyncio.timeout(self._max_arrival_s):
                request = await context.read()
        except TimeoutError as error:
            problem = f"the message was not there within {self._max_arrival_s:g} s"
            raise DeadlineExceeded(problem) from error
        if request is EOF:
            await asyncio.sleep(OVER_S)
            raise InvalidRequest(FIELD, "there is none")
        if isinstance(request, InvalidRequest):
            raise request
        message_arrived()
        return request


def careful(parsed: Deserializer, method: str, *, most: int) -> Deserializer:
    """Parses the messages of that method that have so many fields at most, else InvalidRequest."""
    name = method.removeprefix("/").replace("/", ".")
    nested = nested_in(descriptor_pool.Default().FindMethodByName(name).input_type)

    def deserialize(message: bytes) -> object:
        try:
            if count_fields(message, nested, most=most) > most:
                return InvalidRequest(FIELD, f"has more than {most} fields")
            return parsed(message)
        except (ValueError, DecodeError):
            return InvalidRequest(FIELD, "is not valid protobuf of the expected type")

    return deserialize
