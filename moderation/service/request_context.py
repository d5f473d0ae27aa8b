"""Which request the code at hand works for: known to every task and log line, handed to nobody.

It travels as contextvars do: tasks inherit it, and so do threads that are given a copy.
Work that several requests share belongs to the one that began it.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestContext:
    """The names by which a request is found again; empty where there is none."""

    request_id: str = ""
    trace_id: str = ""
    """32 hexadecimal digits, of the trace that the caller or this server began."""
    is_sampled: bool = False
    """Whether the spans of that trace are kept."""


_NO_REQUEST = RequestContext()
_current: ContextVar[RequestContext] = ContextVar("request", default=_NO_REQUEST)


def current_request() -> RequestContext:
    """The request that this task or thread works for."""
    return _current.get()


def work_for(request: RequestContext) -> None:
    """Let the current task, and all that it starts from now on, belong to a request.

    It is never taken back: a request has a task of its own, and ends with it.
    """
    _current.set(request)
