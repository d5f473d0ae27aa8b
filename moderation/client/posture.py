"""What happens to content when the service gives no answer, or only part of one."""

import time
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from moderation.client.budget import Budget
from moderation.client.errors import ClientError, ServiceUnavailable, error_from_item
from moderation.client.messages import Result
from moderation.v1 import moderation_pb2 as pb


class Action(IntEnum):
    """The wire's actions, from lenient to strict: `Action(decision.action)`."""

    ALLOW = 1
    REVIEW = 2
    BLOCK = 3


@dataclass(frozen=True, slots=True)
class Posture:
    """The action for content that nobody judged."""

    action: Action

    @classmethod
    def for_action(cls, action: int) -> Self:
        """The posture of a client's `on_unavailable`; raises ValueError if it is no action."""
        try:
            return cls(Action(action))
        except ValueError as error:
            accepted = ", ".join(f"Action.{one.name}" for one in Action)
            message = f"on_unavailable must be one of {accepted}, got {action!r}"
            raise ValueError(message) from error

    def decision(self, error: ServiceUnavailable, request: pb.ModerateRequest) -> pb.Decision:
        """A Decision in place of the one that did not come; it says what it is."""
        decided_at = Timestamp()
        decided_at.FromNanoseconds(time.time_ns())
        return pb.Decision(
            content_id=request.content.content_id,
            action=f"ACTION_{self.action.name}",
            profile=request.options.profile,
            decided_at=decided_at,
            failure=pb.Failure(
                code=pb.FAILURE_CODE_SERVICE_UNAVAILABLE,
                message=f"the service gave no answer ({error})",
            ),
            request_id=error.request_id,
        )

    def result(self, error: ClientError, request: pb.ModerateRequest) -> Result:
        """The result of an item that went wrong: a refusal stays one, the rest is decided."""
        if isinstance(error, ServiceUnavailable):
            return Result(request.content.content_id, self.decision(error, request))
        return Result(request.content.content_id, error)

    def result_or_pause(
        self, answer: pb.ItemResult | None, request: pb.ModerateRequest, budget: Budget
    ) -> Result | float:
        """The result of an item, or the seconds after which to ask for it in a call of its own.

        An item without an answer, as after a broken stream, is asked for again at once.
        """
        if answer is None:
            return 0.0
        try:
            if answer.HasField("error"):
                raise error_from_item(answer.error, budget.request_id)
            return Result(request.content.content_id, with_action(answer.decision))
        except ClientError as error:
            pause_s = budget.pause_before_retry(error)
            return self.result(error, request) if pause_s is None else pause_s


def with_action(decision: pb.Decision) -> pb.Decision:
    """The decision, if it is one: an answer without an action must not pass for an ALLOW."""
    if decision.action == pb.ACTION_UNSPECIFIED:
        raise ServiceUnavailable(
            grpc.StatusCode.UNKNOWN, "the answer has no action", request_id=decision.request_id
        )
    return decision
