"""The six RPCs: each converts, calls a use case, converts back."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

from moderation.adapters.grpc.access import VISIT
from moderation.adapters.grpc.convert import (
    content_from_proto,
    decision_to_proto,
    options_from_proto,
    priority_from_proto,
)
from moderation.adapters.grpc.interceptors import Context
from moderation.adapters.grpc.reports import Reports
from moderation.adapters.grpc.status import ReportBug, refusal_for
from moderation.adapters.grpc.streaming import map_unordered
from moderation.core.decision import Options
from moderation.core.errors import InvalidRequest
from moderation.service.lanes import Priority
from moderation.service.moderator import Moderator
from moderation.service.request_context import current_request
from moderation.service.tracing import NO_TRACER, Stage, Tracer
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc

Item = TypeVar("Item")
Asked: TypeAlias = tuple[Options, Priority]
"""What to judge by, and how soon."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """How much one RPC may carry."""

    max_batch_contents: int
    items_in_flight: int
    """Images of one batch or stream that are under way at once."""
    stream_idle_s: float = 300.0


class ModerationServicer(moderation_pb2_grpc.ModerationServiceServicer):
    """Fulfils ModerationService; errors are left to the interceptor, but for single items."""

    def __init__(
        self,
        *,
        moderator: Moderator,
        reports: Reports,
        limits: RequestLimits,
        report_bug: ReportBug,
        new_id: Callable[[], str],
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._moderator = moderator
        self._reports = reports
        self._limits = limits
        self._report_bug = report_bug
        self._new_id = new_id
        self._tracer = tracer

    async def Moderate(self, request: pb.ModerateRequest, context: Context) -> pb.ModerateResponse:
        """Judge one image."""
        asked = _asked(request.options, Priority.INTERACTIVE)
        decision = await self._decide(request.content, asked, context)
        return pb.ModerateResponse(decision=decision)

    async def ModerateBatch(
        self, request: pb.ModerateBatchRequest, context: Context
    ) -> pb.ModerateBatchResponse:
        """Judge several images; the results are in the order of the contents."""
        count = len(request.contents)
        if not 1 <= count <= self._limits.max_batch_contents:
            problem = f"has {count} images; send 1 to {self._limits.max_batch_contents}"
            raise InvalidRequest("contents", problem)
        asked = _asked(request.options, Priority.BULK)  # once, and not for each image
        VISIT.get().require_profile(request.options.profile)
        self._moderator.require(asked[0])
        results = [pb.ItemResult() for _ in request.contents]

        async def judge(position: int) -> None:
            content = request.contents[position]
            results[position] = await self._answer_item(content, lambda: asked, context)

        # Not all at once: a large batch must not be turned away for being in its own way.
        judged = map_unordered(_counted(count), judge, limit=self._limits.items_in_flight)
        async with aclosing(judged):
            async for _ in judged:
                pass
        return pb.ModerateBatchResponse(results=results)

    async def ModerateStream(
        self,
        request_iterator: AsyncIterator[pb.ModerateStreamRequest | InvalidRequest],
        context: Context,
    ) -> AsyncGenerator[pb.ModerateStreamResponse, None]:
        """Judge images as they come, and answer as they are judged."""
        results = map_unordered(
            _while_welcome(request_iterator),
            lambda item: self._answer_streamed(item, context),
            limit=self._limits.items_in_flight,
            idle_s=self._limits.stream_idle_s,
        )
        async with aclosing(results):
            async for result in results:
                yield pb.ModerateStreamResponse(result=result)

    async def ListPolicies(
        self, request: pb.ListPoliciesRequest, context: Context
    ) -> pb.ListPoliciesResponse:
        """The active policy set."""
        return self._reports.list_policies()

    async def ListPolicySets(
        self, request: pb.ListPolicySetsRequest, context: Context
    ) -> pb.ListPolicySetsResponse:
        """The policy sets that were active."""
        return self._reports.list_policy_sets(request)

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        """What is running, and how the last reload went."""
        return self._reports.status()

    async def _decide(self, content: pb.Content, asked: Asked, context: Context) -> pb.Decision:
        visit, (options, priority) = VISIT.get(), asked
        visit.require_profile(options.profile)
        decision = await self._moderator.moderate(
            content_from_proto(content, self._new_id),
            options,
            within_s=context.time_remaining(),
            priority=priority,
            tenant=visit.caller.tenant.name,
        )
        answer = decision_to_proto(decision)
        answer.request_id = current_request().request_id
        return answer

    async def _answer_streamed(
        self, item: pb.ModerateStreamRequest | InvalidRequest, context: Context
    ) -> pb.ItemResult:
        if isinstance(item, InvalidRequest):  # it could not be parsed
            return pb.ItemResult(error=self._item_error(item))
        asked = partial(_asked, item.options, Priority.BULK)
        return await self._answer_item(item.content, asked, context)

    async def _answer_item(
        self, content: pb.Content, asked: Callable[[], Asked], context: Context
    ) -> pb.ItemResult:
        content.content_id = content.content_id or self._new_id()
        result = pb.ItemResult(content_id=content.content_id)
        try:
            with self._tracer.stage(Stage.ITEM):
                result.decision.CopyFrom(await self._decide(content, asked(), context))
        except Exception as error:  # one item must not end the batch or stream it is in
            result.error.CopyFrom(self._item_error(error))
        return result

    def _item_error(self, error: Exception) -> pb.ItemError:
        return refusal_for(error, self._report_bug).to_item_error()


def _asked(options: pb.ModerateOptions, usual: Priority) -> Asked:
    return options_from_proto(options), priority_from_proto(options, usual)


async def _while_welcome(items: AsyncIterator[Item]) -> AsyncGenerator[Item, None]:
    """The items until the caller's credential is withdrawn, which ends the stream."""
    visit = VISIT.get()
    async for item in items:
        visit.recheck()
        yield item


async def _counted(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number
