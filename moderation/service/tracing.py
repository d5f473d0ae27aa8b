"""What a request spends its time on, stage by stage, for whoever follows traces.

The names of the stages are those of docs/tracing.md. Without a tracer they cost next to nothing.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol, Self

from moderation.core.decision import Decision


class Stage(StrEnum):
    """The parts of a request; the names of their spans."""

    ITEM = "item"
    """One content of a batch or stream, with the stages below."""
    FETCH = "fetch"
    """Of an image that the request only names."""
    ADMISSION = "admission"
    DECODE = "decode"
    QUEUE = "queue"
    ENCODE = "encode"
    SHARED = "shared"
    """Waiting for another request that had brought the same bytes."""
    SCORE = "score"
    RECORD = "record"


class RequestSpan(Protocol):
    """A whole request, for as long as it is answered."""

    @property
    def trace_id(self) -> str:
        """Of the trace that it is a part of, 32 hexadecimal digits; empty if there is none."""
        ...

    @property
    def is_sampled(self) -> bool:
        """Whether the spans of that trace are kept."""
        ...

    def end(self, code: str) -> None:
        """It was answered with this status code."""
        ...


class StageSpan(Protocol):
    """A stage that is under way."""

    def hand_over(self, stage: Stage, seconds: float) -> None:
        """Its last `seconds` were another stage: the one ends where the other begins."""
        ...


class Tracer(Protocol):
    """Tells where time goes, to whoever follows the current request; must not raise."""

    def begin(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]], request_id: str
    ) -> RequestSpan:
        """The current task answers a request from now on, in the trace that its metadata names."""
        ...

    def stage(self, stage: Stage) -> AbstractContextManager[StageSpan]:
        """The time within the context; stages within it are below it, an error marks it."""
        ...

    def decided(self, decision: Decision) -> None:
        """The request, or the item of one, was answered with a decision."""
        ...


class _NoRequest:
    """A request that nobody follows."""

    trace_id = ""
    is_sampled = False

    def end(self, code: str) -> None:
        """See RequestSpan."""


class _NoStage:
    """A stage of such a request."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def hand_over(self, stage: Stage, seconds: float) -> None:
        """See StageSpan."""


class _NoTracer:
    """For a service that sends no traces."""

    def begin(
        self, method: str, metadata: Iterable[tuple[str, str | bytes]], request_id: str
    ) -> _NoRequest:
        """See Tracer."""
        return NO_REQUEST

    def stage(self, stage: Stage) -> _NoStage:
        """See Tracer."""
        return NO_STAGE

    def decided(self, decision: Decision) -> None:
        """See Tracer."""


NO_REQUEST = _NoRequest()
NO_STAGE = _NoStage()
NO_TRACER = _NoTracer()
