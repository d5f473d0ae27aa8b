"""What the service tells about itself: the active policies, and what is running."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from moderation.adapters.grpc.convert import (
    BuildInfo,
    build_to_proto,
    encoder_to_proto,
    log_status_to_proto,
    timestamp,
)
from moderation.adapters.grpc.convert_policies import (
    Freshness,
    history_to_proto,
    policies_to_proto,
    policy_status_to_proto,
)
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import InvalidRequest
from moderation.service.activation import Activation
from moderation.service.decision_log import LogStatus
from moderation.service.policy_store import PolicyStore
from moderation.v1 import moderation_pb2 as pb


@dataclass(frozen=True, slots=True)
class Reports:
    """Answers ListPolicies, ListPolicySets and GetStatus."""

    policies: PolicyStore
    encoder: EncoderInfo
    build: BuildInfo
    started_at: datetime
    log_status: Callable[[], LogStatus] | None = None
    """How recording goes, where a decision log is kept."""
    history: Callable[[], Sequence[Activation]] | None = None
    """What was active, where several processes must say the same; else what this one knows."""
    package: str = ""
    """What policies come from in place of files, for people; empty if they come from files."""
    worker: tuple[int, int] | None = None
    """Which process this is, counted from 0, and of how many; None if it is the only one."""

    def list_policies(self) -> pb.ListPoliciesResponse:
        """The active policy set; raises NotReady while there is none."""
        return policies_to_proto(self.policies.current)

    def list_policy_sets(self, request: pb.ListPolicySetsRequest) -> pb.ListPolicySetsResponse:
        """The policy sets that were active, the newest first."""
        if request.max_results < 0:
            raise InvalidRequest("max_results", f"is {request.max_results}; use 0 for all of them")
        history = self.history() if self.history else self.policies.history
        return history_to_proto(history[: request.max_results or None])

    def status(self) -> pb.GetStatusResponse:
        """What is running, and how the last reload went."""
        policies = self.policies
        freshness = Freshness(policies.age_s(), policies.is_stale())
        return pb.GetStatusResponse(
            serving=policies.is_ready(),
            policy_set=policy_status_to_proto(policies.status, freshness, self.package),
            encoder=encoder_to_proto(self.encoder),
            build=build_to_proto(self.build),
            started_at=timestamp(self.started_at),
            decision_log=log_status_to_proto(self.log_status()) if self.log_status else None,
            worker=pb.WorkerPlace(index=self.worker[0], count=self.worker[1])
            if self.worker
            else None,
        )
