"""Whatever happens inside an RPC, its caller gets a status that says enough and not too much.

Run against a real server on a loopback port.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status.rpc_status import from_call

from moderation.adapters.grpc.interceptors import Context, EdgeInterceptor
from moderation.adapters.grpc.messages import MessageInterceptor
from moderation.core.errors import InvalidRequest, NotReady, Overloaded
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.fakes import PATIENCE_S

SERVICE = "/moderation.v1.ModerationService"


class Recorder:
    """Records what the interceptor reports."""

    def __init__(self) -> None:
        self.rpcs: list[tuple[str, str]] = []
        self.bugs: list[BaseException] = []
        self.finished = asyncio.Event()

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        assert seconds >= 0
        self.rpcs.append((method, code))
        self.finished.set()

    def report_bug(self, error: BaseException) -> str:
        self.bugs.append(error)
        return "incident-1"


class Scripted(moderation_pb2_grpc.ModerationServiceServicer):
    """Answers Moderate and ModerateStream by raising, or by waiting to be cancelled."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.entered = asyncio.Event()

    async def Moderate(self, request: pb.ModerateRequest, context: Context) -> pb.ModerateResponse:
        self.entered.set()
        if self._error is None:
            await asyncio.Event().wait()
        elif isinstance(self._error, PermissionError):
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        raise self._error or AssertionError

    async def ModerateStream(
        self, request_iterator: AsyncIterator[pb.ModerateStreamRequest], context: Context
    ) -> AsyncIterator[pb.ModerateStreamResponse]:
        async for _ in request_iterator:
            yield pb.ModerateStreamResponse()
            raise self._error or AssertionError

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(serving=True)


@asynccontextmanager
async def serving(servicer: Scripted, recorder: Recorder) -> AsyncIterator[grpc.aio.Channel]:
    edge = EdgeInterceptor(recorder, recorder.report_bug)
    inmost = MessageInterceptor(max_batch_contents=1, max_arrival_s=PATIENCE_S)
    server = grpc.aio.server(interceptors=[edge, inmost])
    moderation_pb2_grpc.add_ModerationServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
        await recorder.finished.wait()  # a caller may know the answer before it is counted
    finally:
        await server.stop(None)


def raw(channel: grpc.aio.Channel, method: str) -> "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]":
    """A method that sends and receives bytes as they are."""
    return channel.unary_unary(
        f"{SERVICE}/{method}", request_serializer=bytes, response_deserializer=bytes
    )


async def refused(channel: grpc.aio.Channel, method: str, message: bytes) -> grpc.aio.AioRpcError:
    call = raw(channel, method)(message)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_bug_tells_an_incident_id_and_nothing_else() -> None:
    recorder = Recorder()
    bug = RuntimeError("/secret/path")

    async with serving(Scripted(bug), recorder) as channel:
        error = await refused(channel, "Moderate", b"")

    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == "internal error; incident incident-1"
    assert recorder.bugs == [bug]


async def test_a_bug_in_the_middle_of_a_stream_is_told_the_same_way() -> None:
    recorder = Recorder()
    codes = []

    async with serving(Scripted(KeyError("secret")), recorder) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        call = stub.ModerateStream(iter([pb.ModerateStreamRequest()]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            codes.extend([response async for response in call])

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value)
    assert recorder.rpcs == [(f"{SERVICE}/ModerateStream", "INTERNAL")]


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (InvalidRequest("content.image", "is empty"), grpc.StatusCode.INVALID_ARGUMENT),
        (NotReady("no valid policy set"), grpc.StatusCode.UNAVAILABLE),
        (PermissionError(), grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_the_status_that_was_meant_arrives_and_is_counted(
    raised: Exception, code: grpc.StatusCode
) -> None:
    recorder = Recorder()

    async with serving(Scripted(raised), recorder) as channel:
        error = await refused(channel, "Moderate", b"")

    assert error.code() is code
    assert recorder.rpcs == [(f"{SERVICE}/Moderate", code.name)]
    assert not recorder.bugs


async def test_an_overload_carries_retry_info_and_pushback_over_the_wire() -> None:
    async with serving(Scripted(Overloaded("full", retry_after_s=0.25)), Recorder()) as channel:
        error = await refused(channel, "Moderate", b"")

    rich = from_call(error)  # type: ignore[arg-type]  # the stub knows only the synchronous call
    assert rich is not None
    retry = error_details_pb2.RetryInfo()
    assert rich.details[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() == 250
    assert "('grpc-retry-pushback-ms', '250')" in repr(error.trailing_metadata())


async def test_an_unknown_method_is_unimplemented_under_one_label() -> None:
    recorder = Recorder()

    async with serving(Scripted(), recorder) as channel:
        error = await refused(channel, "Nonsense", b"")

    assert error.code() is grpc.StatusCode.UNIMPLEMENTED
    assert recorder.rpcs == [("unknown", "UNIMPLEMENTED")]


async def test_a_caller_who_leaves_is_counted_as_cancelled() -> None:
    recorder = Recorder()
    servicer = Scripted()

    async with serving(servicer, recorder) as channel:
        call = raw(channel, "Moderate")(b"")
        await servicer.entered.wait()
        call.cancel()

    assert recorder.rpcs == [(f"{SERVICE}/Moderate", "CANCELLED")]


async def test_a_deadline_that_passes_is_not_counted_as_a_caller_who_leaves() -> None:
    recorder = Recorder()

    async with serving(Scripted(), recorder) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(channel, "Moderate")(b"", timeout=0.5)

    assert recorder.rpcs == [(f"{SERVICE}/Moderate", "DEADLINE_EXCEEDED")]


@pytest.mark.parametrize("error", [NotReady("no"), PermissionError()], ids=["raised", "aborted"])
async def test_an_error_that_comes_too_late_to_be_told_is_no_bug(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = Recorder()

    class Late(Scripted):
        async def Moderate(
            self, request: pb.ModerateRequest, context: Context
        ) -> pb.ModerateResponse:
            time.sleep(0.3)  # noqa: ASYNC251 - the loop hears of the deadline only after the error
            return await super().Moderate(request, context)

    async with serving(Late(error), recorder) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await raw(channel, "Moderate")(b"", timeout=0.1)

    assert recorder.rpcs == [(f"{SERVICE}/Moderate", "DEADLINE_EXCEEDED")]
    assert not recorder.bugs
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_an_answer_is_counted_as_ok() -> None:
    recorder = Recorder()

    async with serving(Scripted(), recorder) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        answer = await stub.GetStatus(pb.GetStatusRequest())

    assert answer.serving
    assert recorder.rpcs == [(f"{SERVICE}/GetStatus", "OK")]
