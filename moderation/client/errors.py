"""Why there is no answer, as one tree, made from what came over the wire.

ClientError
├── InvalidRequest       only the caller can mend it; names the field where the service did
├── CallRefused          no access, or the other end is no moderation service of this version
└── ServiceUnavailable   no answer now; a Decision by the posture where one was asked for
"""

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from moderation.v1 import moderation_pb2 as pb

STATUS_DETAILS = "grpc-status-details-bin"
PUSHBACK = "grpc-retry-pushback-ms"
STATUS_CODE_BY_NUMBER: Mapping[int, grpc.StatusCode] = {
    code.value[0]: code for code in grpc.StatusCode
}


class ClientError(Exception):
    """Root of what the client raises; `code` is the gRPC status."""

    def __init__(
        self,
        code: grpc.StatusCode,
        message: str,
        *,
        field: str = "",
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        where = field or code.name
        text = message if message.startswith(where) else f"{where}: {message}"
        super().__init__(f"{text} (request {request_id})" if request_id else text)
        self.code = code
        self.message = message
        self.field = field
        """The field of the request that was wrong, if the service named one."""
        self.retry_after_s = retry_after_s
        """After what time to try again, if the service said so; None means that it did not."""
        self.request_id = request_id
        """By which the service's log names the request, if it arrived there."""


class InvalidRequest(ClientError):
    """The request is wrong, and would be wrong again."""


class CallRefused(ClientError):
    """The service will not serve this caller, or does not know the call."""


class ServiceUnavailable(ClientError):
    """There was no answer: unreachable, overloaded, too slow, or broken."""


ERROR_BY_CODE: Mapping[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.UNAUTHENTICATED: CallRefused,
    grpc.StatusCode.PERMISSION_DENIED: CallRefused,
    grpc.StatusCode.UNIMPLEMENTED: CallRefused,
}
"""Every other code is a ServiceUnavailable: whatever went wrong, nothing was judged."""


class RpcFailure(Protocol):
    """What grpc's synchronous and asynchronous errors have in common."""

    def code(self) -> grpc.StatusCode:
        """The status."""
        ...

    def details(self) -> str | None:
        """The message."""
        ...

    def trailing_metadata(self) -> Iterable[tuple[str, str | bytes]] | None:
        """What the server sent after the answer."""
        ...


def error_from_rpc(raised: grpc.RpcError, request_id: str = "") -> ClientError:
    """The error for a call that ended with another status than OK, by the id that was sent."""
    failure = cast(RpcFailure, raised)
    trailers = dict(failure.trailing_metadata() or ())
    status = _rich_status(trailers.get(STATUS_DETAILS))
    code = failure.code()
    return _kind(code)(
        code,
        failure.details() or "",
        field=_field_violated(status),
        retry_after_s=_pushback_s(trailers.get(PUSHBACK), _retry_info_s(status)),
        request_id=request_id,
    )


def error_from_item(item: pb.ItemError, request_id: str = "") -> ClientError:
    """The error for one item of a batch or stream whose call, of that id, went well."""
    code = STATUS_CODE_BY_NUMBER.get(item.code, grpc.StatusCode.UNKNOWN)
    retry_after_s: float | None = None
    if item.HasField("retry_after"):
        retry_after_s = item.retry_after.ToTimedelta().total_seconds()
    return _kind(code)(
        code,
        item.message,
        field=item.field,
        retry_after_s=retry_after_s,
        request_id=request_id,
    )


def _kind(code: grpc.StatusCode) -> type[ClientError]:
    return ERROR_BY_CODE.get(code, ServiceUnavailable)


def _rich_status(details: str | bytes | None) -> Status:
    try:
        return Status.FromString(details) if isinstance(details, bytes) else Status()
    except DecodeError:
        return Status()


def _field_violated(status: Status) -> str:
    bad = BadRequest()
    for detail in status.details:
        if detail.Unpack(bad) and bad.field_violations:
            return str(bad.field_violations[0].field)
    return ""


def _retry_info_s(status: Status) -> float | None:
    info = RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return float(info.retry_delay.ToTimedelta().total_seconds())
    return None


def _pushback_s(pushback: str | bytes | None, otherwise: float | None) -> float | None:
    """The server's word on retries; a number below zero, or none at all, forbids them."""
    if pushback is None:
        return otherwise
    try:
        pushback_ms = int(pushback)
    except ValueError:
        return None
    return pushback_ms / 1000 if pushback_ms >= 0 else None
