"""Policies with the calibrations that belong to them, as one source."""

from dataclasses import dataclass

from moderation.core.errors import PolicySetRejected
from moderation.core.policy import PolicySet
from moderation.core.solving import OnStale, bind
from moderation.service.ports import CalibrationSource, PolicyFiles

MOST_READINGS = 10
"""Half of an edit is nobody's policy set. Who writes without a pause gets one reading more for
each write: the watcher tells of that too."""


@dataclass(frozen=True, slots=True)
class CalibratedPolicies:
    """A PolicySource: the policies of another one, bound to the calibrations of one encoder."""

    policies: PolicyFiles
    calibrations: CalibrationSource
    encoder_id: str
    on_stale: OnStale

    def load(self) -> PolicySet:
        """The policies, calibrated; raises PolicySetRejected with every problem of either.

        All of them, and what binds them to an encoder, are from one state of the files: a
        new wording never meets the calibration of the old one because both were just replaced.
        """
        for _ in range(MOST_READINGS - 1):
            before = self._fingerprint()
            try:
                policy_set = self._read()
            except PolicySetRejected:
                if self._fingerprint() == before:
                    raise
                continue
            if self._fingerprint() == before:
                return policy_set
        return self._read()

    def _fingerprint(self) -> object:
        return self.policies.fingerprint(), self.calibrations.fingerprint(self.encoder_id)

    def _read(self) -> PolicySet:
        return bind(
            self.policies.load(),
            self.calibrations.load(self.encoder_id),
            encoder_id=self.encoder_id,
            on_stale=self.on_stale,
        )
