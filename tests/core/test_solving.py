"""Calibrations are bound to their policies, and targets become numbers, or are refused."""

from collections.abc import Mapping

import pytest

from moderation.core.calibration import (
    IsotonicCalibration,
    Origin,
    PolicyCalibration,
    SolvedThreshold,
    TargetKind,
    ThresholdTarget,
)
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import Mode, PolicySet, Profile, Thresholds, UnsolvedThresholds
from moderation.core.scoring import score
from moderation.core.solving import OnStale, bind, stale_calibrations
from tests.builders import a_calibration, a_policy, a_policy_set, compiled
from tests.fakes import embedding_of

RECALL = ThresholdTarget(TargetKind.MIN_RECALL, 0.95, Origin("policies/weapons.yaml", 6, 22))
FPR = ThresholdTarget(TargetKind.MAX_FPR, 0.005, Origin("policies/weapons.yaml", 7, 22))
TARGETS = UnsolvedThresholds(RECALL, FPR)
GUNS = a_policy("guns", thresholds=TARGETS)


def solved_by(review: float, block: float) -> PolicyCalibration:
    return a_calibration(
        GUNS,
        solved=(
            SolvedThreshold(RECALL, review, 0.96, 2, 90),
            SolvedThreshold(FPR, block, 0.004, 0, 900),
        ),
    )


def bound(
    policy_set: PolicySet,
    *calibrations: PolicyCalibration,
    on_stale: OnStale = OnStale.REFUSE,
    encoder_id: str = "fake-encoder",
) -> PolicySet:
    by_id: Mapping[str, PolicyCalibration] = {one.policy_id: one for one in calibrations}
    return bind(policy_set, by_id, encoder_id=encoder_id, on_stale=on_stale)


def refusals(policy_set: PolicySet) -> list[str]:
    with pytest.raises(PolicySetRejected) as caught:
        compiled(policy_set)
    return [str(problem) for problem in caught.value.problems]


def test_targets_become_the_thresholds_that_were_solved_for_them() -> None:
    policies = compiled(bound(a_policy_set(GUNS), solved_by(0.3, 0.8)))

    assert policies.thresholds == (Thresholds(0.3, 0.8),)
    assert policies.cuts["default"].thresholds == (Thresholds(0.3, 0.8),)


def test_review_comes_down_to_block_where_that_is_lower() -> None:
    policies = compiled(bound(a_policy_set(GUNS), solved_by(0.7, 0.4)))

    assert policies.thresholds == (Thresholds(0.4, 0.4),)


def test_a_target_without_a_block_threshold_never_blocks() -> None:
    policy = a_policy("guns", thresholds=UnsolvedThresholds(RECALL, None))

    policies = compiled(bound(a_policy_set(policy), solved_by(0.3, 0.8)))

    assert policies.thresholds == (Thresholds(0.3, None),)


def test_a_number_beside_a_target_stays() -> None:
    policy = a_policy("guns", thresholds=UnsolvedThresholds(0.2, FPR))

    policies = compiled(bound(a_policy_set(policy), solved_by(0.3, 0.8)))

    assert policies.thresholds == (Thresholds(0.2, 0.8),)


def test_targets_without_a_calibration_are_refused_where_they_are_written() -> None:
    cure = "policy 'guns' has no calibration for this encoder; run `moderation calibrate LABELS`"

    assert refusals(a_policy_set(GUNS)) == [
        f"policies/weapons.yaml:6:22: {cure}, or write a number",
        f"policies/weapons.yaml:7:22: {cure}, or write a number",
    ]


def test_a_target_of_a_profile_is_solved_as_a_policy_s_own() -> None:
    strict = Profile("kids", thresholds={"guns": UnsolvedThresholds(RECALL, None)})
    policy_set = a_policy_set(a_policy("guns"), profiles=[strict])

    assert len(refusals(policy_set)) == 1
    assert compiled(bound(policy_set, solved_by(0.3, 0.8))).cuts["kids"].thresholds == (
        Thresholds(0.3, None),
    )


def test_a_target_that_the_calibration_has_not_solved_is_refused_with_its_counts() -> None:
    other = UnsolvedThresholds(0.1, ThresholdTarget(TargetKind.MAX_FPR, 0.001))
    policy_set = bound(a_policy_set(a_policy("guns", thresholds=other)), solved_by(0.3, 0.8))

    assert refusals(policy_set) == [
        "policies: max_fpr: 0.001 is not solved by the calibration of policy 'guns' (1200 benign "
        "and 300 violating contents); run `moderation calibrate LABELS`, or write a number"
    ]


def test_a_promise_on_false_positives_is_not_broken_by_bringing_review_down() -> None:
    written = UnsolvedThresholds(FPR, RECALL)
    policy_set = bound(a_policy_set(a_policy("guns", thresholds=written)), solved_by(0.3, 0.8))

    (refusal,) = refusals(policy_set)

    assert "solved by 0.8000, which is above block (0.3000)" in refusal


def test_targets_of_a_policy_that_is_off_need_nothing() -> None:
    off = a_policy("guns", thresholds=TARGETS, mode=Mode.OFF)

    assert compiled(a_policy_set(a_policy("a"), off)).positions == {"a": 0}


def test_a_calibration_for_another_encoder_is_refused() -> None:
    with pytest.raises(PolicySetRejected, match=r"other-enc.*json: is for encoder fake-encoder"):
        bound(a_policy_set(GUNS), solved_by(0.3, 0.8), encoder_id="other-encoder")


def test_a_calibration_of_an_earlier_wording_is_refused() -> None:
    reworded = a_policy("guns", phrases=["a rifle"])

    with pytest.raises(PolicySetRejected, match=r"fake-encoder/guns\.json: is stale"):
        bound(a_policy_set(reworded), a_calibration(GUNS))


def test_or_it_is_used_and_marked() -> None:
    reworded = a_policy("guns", phrases=["a rifle"])

    policy_set = bound(a_policy_set(reworded), a_calibration(GUNS), on_stale=OnStale.MARK)

    assert stale_calibrations(policy_set) == ("guns",)
    assert compiled(policy_set).calibrated.tolist() == [False]
    assert compiled(policy_set).curves.bias.tolist() == [0.0]


def test_a_calibration_of_a_policy_that_there_is_not_is_left_alone() -> None:
    policy_set = bound(a_policy_set(a_policy("a")), a_calibration(GUNS))

    assert policy_set.calibrations == {}
    assert stale_calibrations(policy_set) == ()


def test_a_calibration_counts_towards_the_version() -> None:
    policy_set = a_policy_set(GUNS)

    versions = {bound(policy_set, solved_by(cut, 0.8)).version for cut in (0.3, 0.4)}

    assert len(versions | {policy_set.version}) == 3


def test_an_isotonic_calibration_is_followed() -> None:
    line = IsotonicCalibration(((-20.0, 0.0), (20.0, 1.0)))
    policies = compiled(a_policy_set(a_policy()), fits={"weapons": line})

    scores = score(embedding_of("a gun")[None], policies)

    assert scores.raw == pytest.approx([10.0], abs=1e-4)
    assert scores.score == pytest.approx([0.75], abs=1e-4)
