"""Policies with the calibrations that belong to them, as one source."""

from dataclasses import dataclass

from moderation.core.policy import PolicySet
from moderation.core.solving import OnStale, bind
from moderation.service.ports import CalibrationSource, PolicySource


@dataclass(frozen=True, slots=True)
class CalibratedPolicies:
    """A PolicySource: the policies of another one, bound to the calibrations of one encoder."""

    policies: PolicySource
    calibrations: CalibrationSource
    encoder_id: str
    on_stale: OnStale

    def load(self) -> PolicySet:
        """The policies, calibrated; raises PolicySetRejected with every problem of either."""
        return bind(
            self.policies.load(),
            self.calibrations.load(self.encoder_id),
            encoder_id=self.encoder_id,
            on_stale=self.on_stale,
        )
