"""The generated stub with types: it works for both kinds of channel, and says so of neither."""

from collections.abc import Awaitable, Callable
from typing import Protocol

import grpc
import grpc.aio

from moderation.client.streaming import Call
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import ModerationServiceStub


class Stub(Protocol):
    """The calls over a blocking channel."""

    Moderate: Callable[..., pb.ModerateResponse]
    ModerateBatch: Callable[..., pb.ModerateBatchResponse]
    ListPolicies: Callable[..., pb.ListPoliciesResponse]
    GetStatus: Callable[..., pb.GetStatusResponse]


class AsyncStub(Protocol):
    """The calls over a channel for asyncio."""

    Moderate: Callable[..., Awaitable[pb.ModerateResponse]]
    ModerateBatch: Callable[..., Awaitable[pb.ModerateBatchResponse]]
    ModerateStream: Callable[..., Call]
    ListPolicies: Callable[..., Awaitable[pb.ListPoliciesResponse]]
    GetStatus: Callable[..., Awaitable[pb.GetStatusResponse]]


new_stub: Callable[[grpc.Channel], Stub] = ModerationServiceStub
new_async_stub: Callable[[grpc.aio.Channel], AsyncStub] = ModerationServiceStub
