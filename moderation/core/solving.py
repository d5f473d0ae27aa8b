"""Binds calibrations to policies, and makes numbers of thresholds that are stated as targets.

A calibration for another encoder or another wording is refused; the wording may
be let pass by a setting, and is then marked. Nothing is ever used silently.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from enum import StrEnum
from types import MappingProxyType

from moderation.core.calibration import Fit, PolicyCalibration, TargetKind, ThresholdTarget
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import (
    Mode,
    Policy,
    PolicySet,
    Thresholds,
    UnsolvedThresholds,
    WrittenThresholds,
    policy_hash,
)

CURE = "run `moderation calibrate LABELS`, or write a number"


class OnStale(StrEnum):
    """What happens to a calibration whose policy has been reworded since."""

    REFUSE = "refuse"
    MARK = "mark"


def is_stale(calibration: PolicyCalibration, policy: Policy) -> bool:
    """Whether the policy was reworded after the calibration was made."""
    return calibration.policy_hash != policy_hash(policy)


def fit_of(policy: Policy, policy_set: PolicySet) -> Fit | None:
    """What turns the policy's raw score into a probability; None without a calibration."""
    calibration = policy_set.calibrations.get(policy.id)
    return None if calibration is None else calibration.fit


def is_calibrated(policy: Policy, policy_set: PolicySet) -> bool:
    """Whether there is a calibration, and for this very wording."""
    calibration = policy_set.calibrations.get(policy.id)
    return calibration is not None and not is_stale(calibration, policy)


def stale_calibrations(policy_set: PolicySet) -> tuple[str, ...]:
    """The policies that use a calibration made for an earlier wording."""
    return tuple(
        policy.id
        for policy in policy_set.policies
        if policy.id in policy_set.calibrations and not is_calibrated(policy, policy_set)
    )


def bind(
    policy_set: PolicySet,
    calibrations: Mapping[str, PolicyCalibration],
    *,
    encoder_id: str,
    on_stale: OnStale,
) -> PolicySet:
    """The set with those calibrations that are for its policies.

    Raises PolicySetRejected if one is for another encoder, or stale and that is refused.
    """
    policy_by_id = {policy.id: policy for policy in policy_set.policies}
    bound = {name: one for name, one in calibrations.items() if name in policy_by_id}
    problems = tuple(
        Problem(f"calibration/{encoder_id}/{name}.json", 0, 0, problem)
        for name, one in sorted(bound.items())
        if (problem := _problem(one, policy_by_id[name], encoder_id, on_stale))
    )
    if problems:
        raise PolicySetRejected(problems)
    return replace(policy_set, calibrations=MappingProxyType(bound))


def _problem(
    calibration: PolicyCalibration, policy: Policy, encoder_id: str, on_stale: OnStale
) -> str | None:
    if calibration.encoder_id != encoder_id:
        made_for = calibration.encoder_id[:12]
        return f"is for encoder {made_for}, and {encoder_id[:12]} is loaded; {CURE}"
    if on_stale is OnStale.REFUSE and is_stale(calibration, policy):
        return (
            f"is stale: the phrases, contrast, templates or aggregation of policy {policy.id!r} "
            "have changed since; run `moderation calibrate LABELS`, or remove the file"
        )
    return None


def require_solved(policy_set: PolicySet) -> None:
    """Raise PolicySetRejected with every target that no calibration solves."""
    problems = tuple(_unsolved(policy_set))
    if problems:
        raise PolicySetRejected(problems)


def solved(written: WrittenThresholds, policy: Policy, policy_set: PolicySet) -> Thresholds:
    """The thresholds as numbers; `require_solved` must have let the set pass.

    Where a policy separates so well that the cut for its recall lies above the
    one for its false positives, `review` comes down to `block`: both promises hold.
    """
    if isinstance(written, Thresholds):
        return written
    calibration = policy_set.calibrations[policy.id]
    review = _number(written.review, calibration)
    block = None if written.block is None else _number(written.block, calibration)
    return Thresholds(review if block is None else min(review, block), block)


def _number(cut: float | ThresholdTarget, calibration: PolicyCalibration) -> float:
    if not isinstance(cut, ThresholdTarget):
        return cut
    number = calibration.threshold_for(cut)
    assert number is not None, "require_solved lets no unsolved target pass"
    return number


def _unsolved(policy_set: PolicySet) -> Iterator[Problem]:
    for policy in policy_set.policies:
        if policy.mode is Mode.OFF:
            continue
        overrides = (one.thresholds.get(policy.id) for one in policy_set.profiles.values())
        calibration = policy_set.calibrations.get(policy.id)
        for written in (policy.thresholds, *overrides):
            if isinstance(written, UnsolvedThresholds):
                yield from _problems_of(written, policy, calibration)


def _problems_of(
    written: UnsolvedThresholds, policy: Policy, calibration: PolicyCalibration | None
) -> Iterator[Problem]:
    missing = [cut for cut in written.targets if _is_missing(cut, calibration)]
    for target in missing:
        if calibration is None:
            yield _at(target, f"policy {policy.id!r} has no calibration for this encoder; {CURE}")
        else:
            seen = f"{calibration.negatives} benign and {calibration.positives} violating contents"
            message = f"{target} is not solved by the calibration of policy {policy.id!r} ({seen})"
            yield _at(target, f"{message}; {CURE}")
    if missing or calibration is None or not isinstance(written.review, ThresholdTarget):
        return
    block = None if written.block is None else _number(written.block, calibration)
    review = _number(written.review, calibration)
    if block is not None and review > block and written.review.kind is TargetKind.MAX_FPR:
        message = f"{written.review} is solved by {review:.4f}, which is above block ({block:.4f})"
        yield _at(written.review, f"{message}; allow more false positives at review")


def _is_missing(target: ThresholdTarget, calibration: PolicyCalibration | None) -> bool:
    return calibration is None or calibration.threshold_for(target) is None


def _at(target: ThresholdTarget, message: str) -> Problem:
    origin = target.origin
    if origin is None:
        return Problem("policies", 0, 0, message)
    return Problem(origin.file, origin.line, origin.column, message)
