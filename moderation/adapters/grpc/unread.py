"""Answers a call without reading its message."""

from collections.abc import Callable

import grpc

from moderation.adapters.grpc.interceptors import Context, Handler
from moderation.core.errors import ModerationError


def unread(refuse: Callable[[], ModerationError]) -> Handler:
    """Handles any method by an error, made by `refuse` where the log knows the request's id.

    Whatever the method takes is handled as a stream: nothing of one is read unless it is asked for.
    The error is for the EdgeInterceptor to tell.
    """

    async def answer(_requests: object, _context: Context) -> ModerationError:
        return refuse()

    return grpc.stream_stream_rpc_method_handler(answer)
