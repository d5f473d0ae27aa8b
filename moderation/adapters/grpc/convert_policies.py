"""Policies, profiles and their history as protobuf messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moderation.adapters.grpc.convert import ACTION, MODE, SEVERITY, timestamp
from moderation.adapters.grpc.status import duration_from_s
from moderation.core.calibration import ThresholdTarget
from moderation.core.policy import Phrase, Policy, PolicySet, Profile, Thresholds
from moderation.core.scoring import CompiledPolicies
from moderation.core.solving import is_calibrated, stale_calibrations
from moderation.core.taxonomy import Category
from moderation.service.activation import Activation, SetOrigin
from moderation.service.policy_store import PolicyStatus
from moderation.v1 import moderation_pb2 as pb

ORIGIN: Mapping[SetOrigin, pb.PolicySetOrigin] = {
    SetOrigin.SOURCE: pb.POLICY_SET_ORIGIN_SOURCE,
    SetOrigin.KEPT: pb.POLICY_SET_ORIGIN_KEPT,
    SetOrigin.ROLLBACK: pb.POLICY_SET_ORIGIN_ROLLBACK,
}


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the active set can be trusted to be what the policy files say."""

    age_s: float
    is_stale: bool


def policies_to_proto(compiled: CompiledPolicies) -> pb.ListPoliciesResponse:
    """Policies, those that are off included, profiles and categories."""
    policy_set = compiled.policy_set
    return pb.ListPoliciesResponse(
        policy_set_version=policy_set.version,
        policies=[_policy_to_proto(policy, compiled) for policy in policy_set.policies],
        profiles=[
            _profile_to_proto(profile, policy_set) for profile in policy_set.profiles.values()
        ],
        categories=[_category_to_proto(one) for one in policy_set.categories.values()],
    )


def policy_status_to_proto(
    status: PolicyStatus, freshness: Freshness, package: str
) -> pb.PolicySetStatus:
    """The active set, its age, where it comes from, and what was wrong at the last reload."""
    problems = [str(problem) for problem in status.problems]
    answer = pb.PolicySetStatus(last_reload_errors=problems, package=package)
    if status.active is not None:
        answer.version = status.active.policy_set.version
        answer.policies = len(status.active.policies)
        answer.origin = ORIGIN[status.origin]
        answer.stale = freshness.is_stale
        answer.stale_calibrations.extend(stale_calibrations(status.active.policy_set))
    if status.pin is not None:
        answer.instead_of = status.pin.instead_of
    if status.loaded_at is not None:
        answer.loaded_at.CopyFrom(timestamp(status.loaded_at))
        answer.age.CopyFrom(duration_from_s(freshness.age_s))
    if status.reloaded_at is not None:
        answer.last_reload_at.CopyFrom(timestamp(status.reloaded_at))
    if status.confirmed_at is not None:
        answer.confirmed_at.CopyFrom(timestamp(status.confirmed_at))
    return answer


def history_to_proto(history: Sequence[Activation]) -> pb.ListPolicySetsResponse:
    """Activations in the order given."""
    return pb.ListPolicySetsResponse(
        activations=[
            pb.PolicySetActivation(
                version=one.version,
                activated_at=timestamp(one.activated_at),
                origin=ORIGIN[one.origin],
                policies=one.policies,
                owners=one.owners,
                summary=one.summary,
            )
            for one in history
        ]
    )


def _policy_to_proto(policy: Policy, compiled: CompiledPolicies) -> pb.Policy:
    cuts = _numbers(policy, compiled)
    return pb.Policy(
        policy_id=policy.id,
        title=policy.title,
        description=policy.description,
        category=policy.category,
        severity=SEVERITY[policy.severity],
        mode=MODE[policy.mode],
        phrases=[_phrase_to_proto(phrase) for phrase in policy.phrases],
        contrast_phrases=[_phrase_to_proto(phrase) for phrase in policy.contrast],
        templates=policy.templates,
        aggregation=policy.aggregation,
        review_threshold=cuts.review if cuts else None,
        block_threshold=cuts.block if cuts else None,
        needs_clip=policy.needs_clip,
        owner=policy.owner,
        legal_ground=policy.legal_ground,
        clause_url=policy.clause_url,
        effective=policy.effective.isoformat() if policy.effective else "",
        expires=policy.expires.isoformat() if policy.expires else "",
        on=policy.id in compiled.positions,
        canary_share=policy.canary,
        review_target=_target(policy.thresholds.review),
        block_target=_target(policy.thresholds.block),
        calibration=_calibration_state(policy, compiled.policy_set),
    )


def _numbers(policy: Policy, compiled: CompiledPolicies) -> Thresholds | None:
    position = compiled.positions.get(policy.id)
    if position is not None:
        return compiled.thresholds[position]
    return policy.thresholds if isinstance(policy.thresholds, Thresholds) else None


def _target(cut: float | ThresholdTarget | None) -> str:
    return str(cut) if isinstance(cut, ThresholdTarget) else ""


def _calibration_state(policy: Policy, policy_set: PolicySet) -> pb.CalibrationState:
    if policy.id not in policy_set.calibrations:
        return pb.CALIBRATION_STATE_NONE
    is_fresh = is_calibrated(policy, policy_set)
    return pb.CALIBRATION_STATE_FITTED if is_fresh else pb.CALIBRATION_STATE_STALE


def _phrase_to_proto(phrase: Phrase) -> pb.Phrase:
    return pb.Phrase(text=phrase.text, weight=phrase.weight)


def _profile_to_proto(profile: Profile, policy_set: PolicySet) -> pb.Profile:
    selected = [policy.id for policy in policy_set.policies if profile.selects(policy.id)]
    return pb.Profile(
        profile=profile.id,
        policy_ids=selected,
        on_unjudgeable=ACTION[profile.on_unjudgeable],
        review_budget=profile.review_budget,
        audit_share=profile.audit_share,
    )


def _category_to_proto(category: Category) -> pb.Category:
    return pb.Category(category=category.id, title=category.title, parent=category.parent)
