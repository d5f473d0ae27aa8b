"""What the service tells about itself: the active policies, and what is running."""

from dataclasses import dataclass
from datetime import datetime

from moderation.adapters.grpc.convert import (
    BuildInfo,
    build_to_proto,
    encoder_to_proto,
    policies_to_proto,
    policy_status_to_proto,
    timestamp,
)
from moderation.core.encoder import EncoderInfo
from moderation.service.policy_store import PolicyStore
from moderation.v1 import moderation_pb2 as pb


@dataclass(frozen=True, slots=True)
class Reports:
    """Answers ListPolicies and GetStatus."""

    policies: PolicyStore
    encoder: EncoderInfo
    build: BuildInfo
    started_at: datetime

    def list_policies(self) -> pb.ListPoliciesResponse:
        """The active policy set; raises NotReady while there is none."""
        return policies_to_proto(self.policies.current.policy_set)

    def status(self) -> pb.GetStatusResponse:
        """What is running, and how the last reload went."""
        status = self.policies.status
        return pb.GetStatusResponse(
            serving=status.active is not None,
            policy_set=policy_status_to_proto(status, self.policies.age_s()),
            encoder=encoder_to_proto(self.encoder),
            build=build_to_proto(self.build),
            started_at=timestamp(self.started_at),
        )
