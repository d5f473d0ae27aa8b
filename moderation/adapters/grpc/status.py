"""How errors are told over gRPC: one table, for RPCs and for the items of a batch or stream."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc import StatusCode
from grpc_status.rpc_status import to_status

from moderation.core.errors import (
    AccessRefused,
    BundleRejected,
    DeadlineExceeded,
    EncodingFailed,
    InvalidRequest,
    KeysRejected,
    LabelsRejected,
    ModerationError,
    NotReady,
    Overloaded,
    PermissionDenied,
    PolicySetRejected,
    Unauthenticated,
    UnjudgeableContent,
    UnknownName,
)
from moderation.v1 import moderation_pb2

STATUS: Mapping[type[ModerationError], StatusCode] = {
    InvalidRequest: StatusCode.INVALID_ARGUMENT,
    UnknownName: StatusCode.INVALID_ARGUMENT,
    AccessRefused: StatusCode.PERMISSION_DENIED,
    Unauthenticated: StatusCode.UNAUTHENTICATED,
    PermissionDenied: StatusCode.PERMISSION_DENIED,
    Overloaded: StatusCode.RESOURCE_EXHAUSTED,
    DeadlineExceeded: StatusCode.DEADLINE_EXCEEDED,
    NotReady: StatusCode.UNAVAILABLE,
    # These are answered or handled further in; one that arrives here is a bug.
    UnjudgeableContent: StatusCode.INTERNAL,
    EncodingFailed: StatusCode.INTERNAL,
    PolicySetRejected: StatusCode.INTERNAL,
    KeysRejected: StatusCode.INTERNAL,
    LabelsRejected: StatusCode.INTERNAL,
    BundleRejected: StatusCode.INTERNAL,
}

PUSHBACK_KEY = "grpc-retry-pushback-ms"
"""Trailing metadata that a client's own retries obey (gRPC proposal A6)."""

KEPT_TRAILERS = 64
"""Of the refusals that went out last."""

ReportBug = Callable[[BaseException], str]
"""Logs a bug and answers with the incident id under which it was logged."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller is told instead of an answer."""

    code: StatusCode
    message: str
    field: str = ""
    problem: str = ""
    """What is wrong with the field."""
    retry_after_s: float | None = None

    def to_item_error(self) -> moderation_pb2.ItemError:
        """For one item of a batch or stream."""
        return moderation_pb2.ItemError(
            code=self.code.value[0],
            message=self.message,
            field=self.field,
            retry_after=self._retry_after(),
        )

    def to_status(self) -> status_pb2.Status:
        """For a whole RPC, with the details that google.rpc has types for."""
        details: list[any_pb2.Any] = []
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(
                field=self.field, description=self.problem
            )
            details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
        if self.retry_after_s is not None:
            details.append(_packed(error_details_pb2.RetryInfo(retry_delay=self._retry_after())))
        return status_pb2.Status(code=self.code.value[0], message=self.message, details=details)

    def _retry_after(self) -> duration_pb2.Duration | None:
        return None if self.retry_after_s is None else duration_from_s(self.retry_after_s)


def refusal_for(error: Exception, report_bug: ReportBug) -> Refusal:
    """Translate an error; what nobody foresaw is reported and told as an incident id only."""
    code = StatusCode.INTERNAL
    if isinstance(error, ModerationError):
        code = STATUS[type(error)]
    if code is StatusCode.INTERNAL:
        return Refusal(code, f"internal error; incident {report_bug(error)}")
    return Refusal(
        code,
        str(error),
        field=error.field if isinstance(error, InvalidRequest) else "",
        problem=error.problem if isinstance(error, InvalidRequest) else "",
        retry_after_s=error.retry_after_s if isinstance(error, Overloaded) else None,
    )


@lru_cache(maxsize=KEPT_TRAILERS)
def trailers_of(refusal: Refusal) -> tuple[tuple[str, str | bytes], ...]:
    """What goes beside the status of an RPC: the details, and when to come back.

    Under load the same refusal goes out again and again.
    """
    details = to_status(refusal.to_status()).trailing_metadata or ()
    if refusal.retry_after_s is None:
        return (*details,)
    return (*details, (PUSHBACK_KEY, str(round(refusal.retry_after_s * 1000))))


def duration_from_s(seconds: float) -> duration_pb2.Duration:
    """Seconds as protobuf wants them."""
    duration = duration_pb2.Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed
