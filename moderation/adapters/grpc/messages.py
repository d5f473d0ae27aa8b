"""Takes in the messages of calls, none of which may cost much more than its bytes say."""

from collections.abc import Awaitable, Callable

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.message import DecodeError
from grpc.aio import ServerInterceptor

from moderation.adapters.grpc.convert import MAX_POLICY_IDS
from moderation.adapters.grpc.fields import count_fields, nested_in
from moderation.adapters.grpc.interceptors import FORMS, Deserializer, Handler, MaybeHandler
from moderation.core.errors import InvalidRequest

FIELD = "message"
"""How refusals call the whole of it."""
SINGLE_FIELDS = 256
"""Which a message has once; more than there are, for callers that know more than this server."""
CONTENT_FIELDS = 16
"""Of one content; also more than there are."""


class MessageInterceptor(ServerInterceptor):  # type: ignore[type-arg]  # generic in the stubs only
    """Parses messages that have few enough fields; put it next to the methods.

    What cannot be taken arrives as the InvalidRequest to answer it with.
    """

    def __init__(self, *, max_batch_contents: int) -> None:
        self._max_fields = SINGLE_FIELDS + MAX_POLICY_IDS + CONTENT_FIELDS * max_batch_contents
        self._handlers: dict[str, Handler] = {}
        """By method, as they do not differ from call to call."""

    async def intercept_service(  # type: ignore[override]  # the stub forgets unknown methods
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[MaybeHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> MaybeHandler:
        """The method's handler with a deserializer that looks first; an unknown method has none."""
        method = handler_call_details.method
        if method not in self._handlers:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            self._handlers[method] = self._looking(handler, method)
        return self._handlers[method]

    def _looking(self, handler: Handler, method: str) -> Handler:
        make, behaviour = FORMS[handler.request_streaming, handler.response_streaming](handler)
        return make(
            behaviour,
            request_deserializer=self._careful(handler.request_deserializer or bytes, method),
            response_serializer=handler.response_serializer,
        )

    def _careful(self, parsed: Deserializer, method: str) -> Deserializer:
        name = method.removeprefix("/").replace("/", ".")
        nested = nested_in(descriptor_pool.Default().FindMethodByName(name).input_type)
        most = self._max_fields

        def deserialize(message: bytes) -> object:
            try:
                if count_fields(message, nested, most=most) > most:
                    return InvalidRequest(FIELD, f"has more than {most} fields")
                return parsed(message)
            except (ValueError, DecodeError):
                return InvalidRequest(FIELD, "is not valid protobuf of the expected type")

        return deserialize
