"""From labels to calibrations: score what was labelled, fit a curve, solve the targets.

What the data cannot carry is refused, policy by policy and target by target, with
the count that would be needed. Where embeddings come from and how curves are fitted
is left to others.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from moderation.core.calibration import Fit, PolicyCalibration, SolvedThreshold, ThresholdTarget
from moderation.core.content import Embeddings
from moderation.core.curves import Curves
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import LabelsRejected, Problem
from moderation.core.labels import Label, LabelledScores
from moderation.core.policy import (
    DEFAULT_PROFILE,
    Mode,
    PolicySet,
    Profile,
    Thresholds,
    policy_hash,
)
from moderation.core.scoring import CompiledPolicies, compile_policies, texts_to_embed
from moderation.core.solving import is_stale
from moderation.core.targets import RefusedTarget, solve_target
from moderation.service.phrases import PhraseEmbeddings
from moderation.service.ports import TextEncoder

LEAST_PER_ANSWER = 10
"""Of violating and of benign contents: cross-validation in five parts then has two in each."""

CONTENTS_AT_ONCE = 1024

Subject: TypeAlias = tuple[bool, str]
"""What was looked at; see Label.subject."""
Seen: TypeAlias = Mapping[Subject, Embeddings]
"""Each subject's embeddings, a row a frame."""

_ANY_CUT = Thresholds(0.0, None)


class Method(StrEnum):
    """How raw scores become probabilities."""

    PLATT = "platt"
    ISOTONIC = "isotonic"
    AUTO = "auto"
    """Whichever is better on contents that it was not fitted to."""


class NotFitted(Exception):
    """No curve can be fitted; the message says why, and what would help."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A curve, and how well its kind did on contents that it had not seen."""

    fit: Fit
    held_out: NDArray[np.float64]
    """float64[n]: each content's probability by a curve that was fitted without it."""
    log_loss: Mapping[str, float]
    """By method tried: mean negative log likelihood of the held-out contents."""


class CurveFitter(Protocol):
    """Fits what turns raw scores into probabilities."""

    def fit(self, scores: LabelledScores, method: Method) -> Fitted:
        """A curve that rises; raises NotFitted."""
        ...


@dataclass(frozen=True, slots=True)
class CalibratedPolicy:
    """What came of one policy."""

    policy_id: str
    scores: LabelledScores
    calibration: PolicyCalibration | None = None
    fitted: Fitted | None = None
    refusal: str = ""
    """Why there is no calibration."""
    refused: tuple[RefusedTarget, ...] = ()
    """Targets that the labels cannot prove."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was refused."""
        return self.calibration is not None and not self.refused


@dataclass(frozen=True, slots=True)
class Scorer:
    """The policies, compiled for raw scores alone: their thresholds may wait for a calibration."""

    policy_set: PolicySet
    encoder: EncoderInfo
    compiled: CompiledPolicies = field(repr=False)

    @classmethod
    def of(cls, policy_set: PolicySet, encoder: EncoderInfo, texts: TextEncoder) -> "Scorer":
        """Ready to score; embeds every text of the policies. Raises EncodingFailed."""
        raw_only = replace(
            policy_set,
            policies=tuple(replace(one, thresholds=_ANY_CUT) for one in policy_set.policies),
            profiles=MappingProxyType({DEFAULT_PROFILE: Profile()}),
        )
        phrases = PhraseEmbeddings(texts)
        phrases.embed(texts_to_embed(raw_only), active=frozenset())
        compiled = compile_policies(
            raw_only,
            encoder_id=encoder.encoder_id,
            scale=encoder.scale,
            embedding_by_text=phrases.by_text,
        )
        return cls(policy_set, encoder, compiled)

    def scores_of(self, labels: Sequence[Label], seen: Seen) -> dict[str, LabelledScores]:
        """The labelled contents' raw scores by policy id, in the order of the labels."""
        raw_by_subject = self._raw(seen)
        by_policy: dict[str, list[Label]] = {}
        for label in labels:
            by_policy.setdefault(label.policy_id, []).append(label)
        return {
            policy_id: LabelledScores(
                raw=np.array([raw_by_subject[label.subject][position] for label in given]),
                is_violating=np.array([label.is_violating for label in given], dtype=np.bool_),
            )
            for policy_id, given in by_policy.items()
            for position in (self.compiled.positions[policy_id],)
        }

    def _raw(self, seen: Seen) -> dict[Subject, NDArray[np.float64]]:
        """Raw scores float64[policies] by subject; of an animation, the highest frame counts."""
        raw: dict[Subject, NDArray[np.float64]] = {}
        subjects = list(seen)
        for start in range(0, len(subjects), CONTENTS_AT_ONCE):
            some = subjects[start : start + CONTENTS_AT_ONCE]
            embeddings = np.concatenate([seen[subject] for subject in some])
            starts = np.cumsum([0, *(len(seen[subject]) for subject in some[:-1])])
            n_policies = len(self.compiled.policies)
            towards = self.compiled.phrases.aggregate(embeddings, n_policies)
            away = self.compiled.contrast.aggregate(embeddings, n_policies)
            frames = self.compiled.scale * (towards - away).astype(np.float64)
            raw.update(zip(some, np.maximum.reduceat(frames, starts, axis=0), strict=True))
        return raw


def require_policies(labels: Iterable[Label], policy_set: PolicySet, *, file: str) -> None:
    """Raise LabelsRejected with every label of a policy that is unknown or off."""
    mode_by_id = {policy.id: policy.mode for policy in policy_set.policies}
    problems = []
    for label in labels:
        mode = mode_by_id.get(label.policy_id)
        if mode is None:
            known = ", ".join(sorted(mode_by_id))
            message = f"there is no policy {label.policy_id[:64]!r}; known: {known}"
        elif mode is Mode.OFF:
            message = f"policy {label.policy_id!r} is off; set its mode to shadow to calibrate it"
        else:
            continue
        problems.append(Problem(file, label.line, 1, message))
    if problems:
        raise LabelsRejected(tuple(problems))


@dataclass(frozen=True, slots=True)
class Copies:
    """Labels of one policy whose contents are the same picture, in the order of the file."""

    first: Label
    others: tuple[Label, ...]


def copies_among(labels: Iterable[Label], seen: Seen, *, file: str) -> tuple[Copies, ...]:
    """Labels that would count one picture several times, which is no more evidence than once.

    Raises LabelsRejected with every picture that is said to violate a policy and not to.
    """
    same: dict[tuple[str, bytes], list[Label]] = {}
    for label in labels:
        same.setdefault((label.policy_id, seen[label.subject].tobytes()), []).append(label)
    copies = [Copies(first, tuple(others)) for first, *others in same.values() if others]
    problems = [
        Problem(file, other.line, 1, _contradiction(one.first, other))
        for one in copies
        for other in one.others
        if other.is_violating is not one.first.is_violating
    ]
    if problems:
        raise LabelsRejected(tuple(sorted(problems, key=lambda problem: problem.line)))
    return tuple(copies)


def _contradiction(first: Label, other: Label) -> str:
    answers = {True: "yes", False: "no"}
    return (
        f"is the picture of line {first.line} again, which says "
        f"{answers[first.is_violating]} and this one {answers[other.is_violating]}; "
        "decide which is right and remove the other"
    )


def targets_of(policy_set: PolicySet, policy_id: str) -> tuple[ThresholdTarget, ...]:
    """Every target that the policy, or a profile's override for it, states; none twice."""
    policy = {one.id: one for one in policy_set.policies}[policy_id]
    overrides = (profile.thresholds.get(policy_id) for profile in policy_set.profiles.values())
    written = (policy.thresholds, *(one for one in overrides if one is not None))
    return unique(target for one in written for target in getattr(one, "targets", ()))


def unique(targets: Iterable[ThresholdTarget]) -> tuple[ThresholdTarget, ...]:
    """The targets in a stable order, none twice."""
    kept: list[ThresholdTarget] = []
    for target in targets:
        if not any(target.is_same(other) for other in kept):
            kept.append(target)
    return tuple(sorted(kept, key=lambda target: (target.kind, target.rate)))


def misfits(
    policy_set: PolicySet, calibrations: Mapping[str, PolicyCalibration]
) -> tuple[str, ...]:
    """What keeps calibrations from being used for the policies as they are now."""
    policy_by_id = {policy.id: policy for policy in policy_set.policies}
    found: list[str] = []
    for policy_id, calibration in sorted(calibrations.items()):
        policy = policy_by_id.get(policy_id)
        if policy is None:
            found.append(f"{policy_id}: there is no such policy; remove its calibration")
        elif is_stale(calibration, policy):
            found.append(f"{policy_id}: is stale: the policy's wording has changed; calibrate it")
    for policy_id in sorted(policy_by_id):
        one = calibrations.get(policy_id)
        found += [
            f"{policy_id}: {target} is not solved; calibrate it"
            for target in targets_of(policy_set, policy_id)
            if one is None or one.threshold_for(target) is None
        ]
    return tuple(found)


def calibrate(
    scorer: Scorer,
    scores_by_policy: Mapping[str, LabelledScores],
    fitter: CurveFitter,
    *,
    method: Method = Method.AUTO,
    targets: Sequence[ThresholdTarget] = (),
) -> tuple[CalibratedPolicy, ...]:
    """Calibrate every policy that has labels, for its own targets and for these."""
    return tuple(
        _calibrated(scorer, policy_id, scores, fitter, method, targets)
        for policy_id, scores in sorted(scores_by_policy.items())
    )


def probabilities(fit: Fit, raw: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the fit makes of raw scores, both float64[n]."""
    return Curves.from_fits([fit]).apply(raw[:, None])[:, 0]


def _calibrated(
    scorer: Scorer,
    policy_id: str,
    scores: LabelledScores,
    fitter: CurveFitter,
    method: Method,
    targets: Sequence[ThresholdTarget],
) -> CalibratedPolicy:
    wanted = unique((*targets_of(scorer.policy_set, policy_id), *targets))
    try:
        _require_enough(scores)
        fitted = fitter.fit(scores, method)
    except NotFitted as error:
        refused = _refused(wanted, scores)
        return CalibratedPolicy(policy_id, scores, refusal=str(error), refused=refused)
    chances = probabilities(fitted.fit, scores.raw)
    outcomes = [solve_target(target, chances, scores.is_violating) for target in wanted]
    (policy,) = (one for one in scorer.policy_set.policies if one.id == policy_id)
    calibration = PolicyCalibration(
        policy_id=policy_id,
        encoder_id=scorer.encoder.encoder_id,
        policy_hash=policy_hash(policy),
        fit=fitted.fit,
        positives=scores.n_violating,
        negatives=scores.n_benign,
        solved=tuple(one for one in outcomes if isinstance(one, SolvedThreshold)),
    )
    refused = tuple(one for one in outcomes if isinstance(one, RefusedTarget))
    return CalibratedPolicy(policy_id, scores, calibration, fitted, refused=refused)


def _require_enough(scores: LabelledScores) -> None:
    counts = {"violating": scores.n_violating, "benign": scores.n_benign}
    short = [f"{count} {kind}" for kind, count in counts.items() if count < LEAST_PER_ANSWER]
    if short:
        raise NotFitted(
            f"needs at least {LEAST_PER_ANSWER} contents of each answer; got {' and '.join(short)}"
        )


def _refused(
    wanted: Iterable[ThresholdTarget], scores: LabelledScores
) -> tuple[RefusedTarget, ...]:
    """What the counts alone rule out, where there is no curve."""
    outcomes = (solve_target(one, np.zeros_like(scores.raw), scores.is_violating) for one in wanted)
    return tuple(one for one in outcomes if isinstance(one, RefusedTarget))
