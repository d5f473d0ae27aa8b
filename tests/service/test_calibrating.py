"""Policies and calibrations are read from one state of the files, or the reading is done again."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from moderation.core.calibration import PolicyCalibration
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import Phrase, PolicySet
from moderation.core.solving import OnStale, is_stale
from moderation.service.calibrating import MOST_READINGS, CalibratedPolicies
from tests.builders import a_calibration, a_policy, a_policy_set

WORDINGS = tuple(
    replace(a_policy("guns"), phrases=(Phrase(f"a gun of kind {edit}"),))
    for edit in range(MOST_READINGS + 3)
)


class EditedFiles:
    """Fulfils both ports; the first so many readings are each disturbed by an edit of all files."""

    def __init__(self, disturbed: int) -> None:
        self._disturbed = disturbed
        self.edit = 0
        self.readings = 0

    def source(self) -> CalibratedPolicies:
        return CalibratedPolicies(_Policies(self), _Calibrations(self), "fake", OnStale.REFUSE)

    def read_policies(self) -> PolicySet:
        policy = WORDINGS[self.edit]
        self.readings += 1
        if self.readings <= self._disturbed:
            self.edit += 1
        return a_policy_set(policy)


class _Policies:
    def __init__(self, files: EditedFiles) -> None:
        self._files = files

    def fingerprint(self) -> object:
        return self._files.edit

    def load(self) -> PolicySet:
        return self._files.read_policies()


class _Calibrations:
    def __init__(self, files: EditedFiles) -> None:
        self._files = files

    def fingerprint(self, encoder_id: str) -> object:
        return encoder_id, self._files.edit

    def load(self, encoder_id: str) -> Mapping[str, PolicyCalibration]:
        fitted = replace(a_calibration(WORDINGS[self._files.edit]), encoder_id=encoder_id)
        return {"guns": fitted}


@pytest.mark.parametrize("disturbed", [0, 1, 3, MOST_READINGS - 1])
def test_a_new_wording_never_meets_the_calibration_of_the_old_one(disturbed: int) -> None:
    files = EditedFiles(disturbed)

    found = files.source().load()

    (policy,) = found.policies
    assert policy.phrases == WORDINGS[disturbed].phrases
    assert not is_stale(found.calibrations["guns"], policy)
    assert files.readings == disturbed + 1


def test_marked_calibrations_are_read_from_one_state_too() -> None:
    files = EditedFiles(1)

    found = replace(files.source(), on_stale=OnStale.MARK).load()

    (policy,) = found.policies
    assert not is_stale(found.calibrations["guns"], policy)
    assert files.readings == 2


def test_who_writes_without_a_pause_is_told_of_the_last_reading() -> None:
    files = EditedFiles(MOST_READINGS + 1)

    with pytest.raises(PolicySetRejected, match="is stale"):
        files.source().load()

    assert files.readings == MOST_READINGS


def test_what_is_refused_and_has_not_changed_is_not_read_again() -> None:
    files = EditedFiles(0)
    source = CalibratedPolicies(_Policies(files), Stale(files), "fake", OnStale.REFUSE)

    with pytest.raises(PolicySetRejected, match="is stale"):
        source.load()

    assert files.readings == 1


class Stale(_Calibrations):
    """Calibrations of a wording that is not there."""

    def load(self, encoder_id: str) -> Mapping[str, PolicyCalibration]:
        return {"guns": replace(a_calibration(WORDINGS[-1]), encoder_id=encoder_id)}
