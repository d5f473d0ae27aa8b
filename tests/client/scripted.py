"""A real gRPC server whose answers a test decides, and one way to use both clients."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
import grpc.aio
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from moderation.client import AsyncModerationClient, Item, ModerationClient, Result
from moderation.client.errors import STATUS_DETAILS
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import (
    ModerationServiceServicer,
    add_ModerationServiceServicer_to_server,
)

AnswerT = TypeVar("AnswerT")
Context = grpc.aio.ServicerContext[Any, Any]
Step = Callable[[pb.Content, Context], Awaitable[pb.Decision]]
Trailers = tuple[tuple[str, str | bytes], ...]


async def allow(content: pb.Content, context: Context) -> pb.Decision:
    """The ordinary answer."""
    return a_decision(content.content_id)


def a_decision(content_id: str = "", action: pb.Action = pb.ACTION_ALLOW) -> pb.Decision:
    return pb.Decision(decision_id=f"decision-{content_id}", content_id=content_id, action=action)


def failing(code: grpc.StatusCode, message: str = "scripted", trailers: Trailers = ()) -> Step:
    """Ends the call with a status."""

    async def step(content: pb.Content, context: Context) -> NoReturn:
        await context.abort(code, message, trailers)

    return step


def overloaded(retry_after_s: float) -> Step:
    """Turns the call away, and says after what time to come back."""
    info = RetryInfo(retry_delay=duration(retry_after_s))
    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    return failing(code, "full", ((STATUS_DETAILS, rich_status(code, info)),))


def wrong(field: str) -> Step:
    """Refuses the request, and names the field."""
    violation = BadRequest.FieldViolation(field=field, description="scripted")
    code = grpc.StatusCode.INVALID_ARGUMENT
    details = rich_status(code, BadRequest(field_violations=[violation]))
    return failing(code, "scripted", ((STATUS_DETAILS, details),))


async def never(content: pb.Content, context: Context) -> NoReturn:
    """Takes the request and says nothing."""
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def rich_status(code: grpc.StatusCode, detail: Message) -> bytes:
    packed = AnyMessage()
    packed.Pack(detail)
    status = Status(code=code.value[0], message="scripted", details=[packed])
    return bytes(status.SerializeToString())


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


class ScriptedService(ModerationServiceServicer):
    """Answers Moderate by `steps`, one a call, the last one for ever; the rest by attributes."""

    def __init__(self, *steps: Step) -> None:
        self.steps = list(steps) or [allow]
        self.requests: list[pb.ModerateRequest] = []
        self.batch_results: list[pb.ItemResult] | None = None
        self.metadata: dict[str, str] = {}
        self.request_ids: list[str] = []
        self.traces: list[str] = []
        self.time_remaining_s: float | None = None

    async def Moderate(self, request: pb.ModerateRequest, context: Context) -> pb.ModerateResponse:
        self.requests.append(request)
        self._note(context)
        self.time_remaining_s = context.time_remaining()
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        return pb.ModerateResponse(decision=await step(request.content, context))

    async def ModerateBatch(
        self, request: pb.ModerateBatchRequest, context: Context
    ) -> pb.ModerateBatchResponse:
        self._note(context)
        if self.batch_results is None:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "scripted")
        return pb.ModerateBatchResponse(results=self.batch_results)

    def _note(self, context: Context) -> None:
        self.metadata = dict(context.invocation_metadata() or ())
        self.request_ids = [*self.request_ids, self.metadata["x-request-id"]]
        self.traces.append(self.metadata.get("traceparent", ""))

    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        return pb.ListPoliciesResponse(policies=[pb.Policy(policy_id="weapons")])

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        return pb.GetStatusResponse(serving=True)


@asynccontextmanager
async def serving(
    service: ModerationServiceServicer, credentials: grpc.ServerCredentials | None = None
) -> AsyncIterator[str]:
    """The address of a server that runs meanwhile."""
    server = grpc.aio.server()
    add_ModerationServiceServicer_to_server(service, server)
    if credentials is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


def dead_address() -> str:
    """An address on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


@dataclass(frozen=True)
class Client:
    """What both clients can do, awaited."""

    moderate: Callable[..., Awaitable[pb.Decision]]
    moderate_batch: Callable[..., Awaitable[list[Result]]]
    moderate_all: Callable[..., Awaitable[list[Result]]]
    list_policies: Callable[..., Awaitable[pb.ListPoliciesResponse]]
    status: Callable[..., Awaitable[pb.GetStatusResponse]]


Connect = Callable[..., AbstractAsyncContextManager[Client]]
"""Makes a client of one kind; takes what both take."""


@asynccontextmanager
async def connect_async(address: str, **options: object) -> AsyncIterator[Client]:
    make: Callable[..., AsyncModerationClient] = AsyncModerationClient
    async with make(address, **options) as client:

        async def moderate_all(items: Iterable[Item]) -> list[Result]:
            return [result async for result in client.moderate_stream(items)]

        yield Client(
            client.moderate,
            client.moderate_batch,
            moderate_all,
            client.list_policies,
            client.status,
        )


@asynccontextmanager
async def connect_sync(address: str, **options: object) -> AsyncIterator[Client]:
    make: Callable[..., ModerationClient] = ModerationClient
    with make(address, **options) as client:
        yield Client(
            _in_thread(client.moderate),
            _in_thread(client.moderate_batch),
            _in_thread(lambda items: list(client.moderate_stream(items))),
            _in_thread(client.list_policies),
            _in_thread(client.status),
        )


def _in_thread(call: Callable[..., AnswerT]) -> Callable[..., Awaitable[AnswerT]]:
    """Keep a blocking call off the loop that the server runs on."""
    return lambda *args, **options: asyncio.to_thread(call, *args, **options)
