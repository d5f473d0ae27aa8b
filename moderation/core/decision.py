"""From scores to a decision with its reasons."""

from dataclasses import dataclass, field, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embedding
from moderation.core.errors import FailureCode, InvalidRequest
from moderation.core.policy import Action, Mode, Policy, Profile, Thresholds
from moderation.core.sampling import draw
from moderation.core.scoring import CompiledPolicies, ProfileCuts, Scores, Side
from moderation.core.taxonomy import path_of

SHOWN_PHRASES = 3


@dataclass(frozen=True, slots=True)
class PhraseMatch:
    """A phrase and its cosine similarity to the content, -1..1."""

    text: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """One policy's outcome for one content."""

    policy: Policy
    action: Action
    score: float
    raw_score: float
    thresholds: Thresholds
    calibrated: bool
    frame: int
    phrases: tuple[PhraseMatch, ...]
    contrast: tuple[PhraseMatch, ...]
    mode: Mode = Mode.ENFORCE
    """What applies to this content: a canary's policy is a shadow for all but its share."""
    category_path: tuple[str, ...] = ()
    """The policy's category and those above it, the most general first."""

    @property
    def margin(self) -> float:
        """How far the score is from the threshold that decided; negative below `review`."""
        return self.thresholds.margin_of(self.score)

    @property
    def acts(self) -> bool:
        """Whether the verdict counts towards the decision."""
        return self.mode is Mode.ENFORCE


@dataclass(frozen=True, slots=True)
class Failure:
    """Why content could not be judged."""

    code: FailureCode
    message: str


@dataclass(frozen=True, slots=True)
class Timings:
    """Where the time of one request went, in seconds; with `cached`, encoding took none."""

    decode_s: float = 0.0
    queue_s: float = 0.0
    encode_s: float = 0.0
    score_s: float = 0.0
    total_s: float = 0.0
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """What to judge by, and how much to answer."""

    profile: str = ""
    policy_ids: frozenset[str] = frozenset()
    """Empty means all policies of the profile."""
    include_all_verdicts: bool = False


@dataclass(frozen=True, slots=True)
class PolicyScores:
    """What every policy scored, verdict or not: for statistics, as arrays over the policies."""

    policies: tuple[Policy, ...]
    """Those that are not off."""
    score: NDArray[np.float64]
    raw: NDArray[np.float64]
    """Before calibration."""
    judged: NDArray[np.bool_]
    """Whether the request was judged by the policy."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the policies say of one content."""

    action: Action
    deciding: Verdict | None
    verdicts: tuple[Verdict, ...]
    audited: bool = False
    """Whether the content is in the profile's random audit sample, and so at least reviewed."""
    scores: PolicyScores | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one request, with everything needed to check or appeal it."""

    decision_id: str
    content_id: str
    action: Action
    profile: str
    policy_set_version: str
    encoder_id: str
    decided_at: datetime
    verdicts: tuple[Verdict, ...] = ()
    deciding_policy_id: str = ""
    timings: Timings = field(default_factory=Timings)
    failure: Failure | None = None
    frames_judged: int = 0
    audited: bool = False
    """See Outcome."""
    scores: PolicyScores | None = field(default=None, repr=False, compare=False)
    """None if the content could not be judged."""


def select(compiled: CompiledPolicies, cuts: ProfileCuts, options: Options) -> NDArray[np.bool_]:
    """The policies a request is judged by, bool[policies].

    Raises InvalidRequest if it names one that is unknown, off, or outside the profile.
    """
    if not options.policy_ids:
        return cuts.selected
    compiled.policy_set.require_policies(options.policy_ids)
    chosen = np.zeros(len(compiled.policies), dtype=np.bool_)
    for policy_id in sorted(options.policy_ids):
        position = compiled.positions.get(policy_id)
        if position is None:
            raise InvalidRequest("options.policy_ids", f"policy {policy_id!r} is off")
        if not cuts.selected[position]:
            problem = f"policy {policy_id!r} is not in profile {cuts.profile.id!r}"
            raise InvalidRequest("options.policy_ids", problem)
        chosen[position] = True
    return chosen


def actions_of(
    score: NDArray[np.float64], review: NDArray[np.float64], block: NDArray[np.float64]
) -> NDArray[np.int_]:
    """The action of each score as a number, int[..., policies]; a NaN reaches no threshold."""
    return 1 + (score >= review).astype(np.int_) + (score >= block)


def enforced_on(content_id: str, compiled: CompiledPolicies) -> NDArray[np.bool_]:
    """The policies that act on this content, bool[policies]; the others are shadows for it."""
    if not compiled.canaries:
        return compiled.enforced
    enforced = compiled.enforced.copy()
    for position, share in compiled.canaries.items():
        enforced[position] &= draw(content_id, compiled.policies[position].id) < share
    return enforced


def is_audited(content_id: str, profile: Profile) -> bool:
    """Whether the content is in the profile's random sample for people to look at."""
    # No policy's id has a slash, so that audits and canaries are drawn independently.
    return profile.audit_share > 0.0 and (
        draw(content_id, f"audit/{profile.id}") < profile.audit_share
    )


def decide(
    scores: Scores,
    compiled: CompiledPolicies,
    cuts: ProfileCuts,
    options: Options,
    *,
    content_id: str,
) -> Outcome:
    """Compare the scores with the profile's thresholds; raises InvalidRequest as `select` does.

    The content's id decides whether it belongs to a canary's share or to the audit sample.
    """
    selected = select(compiled, cuts, options)
    actions = actions_of(scores.score, cuts.review, cuts.block)
    margins = scores.score - np.where(scores.score >= cuts.block, cuts.block, cuts.review)
    order = np.lexsort((-margins, -actions))
    ranked = order[selected[order]]
    enforced = enforced_on(content_id, compiled)
    acting = ranked[enforced[ranked]]
    shown = ranked if options.include_all_verdicts else ranked[actions[ranked] > Action.ALLOW]
    if not shown.size:  # what came nearest explains an ALLOW as a passed threshold does a BLOCK
        shown = acting[:1] if acting.size else ranked[:1]
    verdict_by_position = {
        position: replace(
            _verdict(position, Action(int(actions[position])), scores, compiled, cuts),
            mode=Mode.ENFORCE if enforced[position] else Mode.SHADOW,
        )
        for position in shown.tolist()
    }
    action = Action(int(actions[acting[0]])) if acting.size else Action.ALLOW
    audited = is_audited(content_id, cuts.profile)
    return Outcome(
        action=max(action, Action.REVIEW) if audited else action,
        deciding=verdict_by_position[int(acting[0])] if action > Action.ALLOW else None,
        verdicts=tuple(verdict_by_position.values()),
        audited=audited,
        scores=PolicyScores(compiled.policies, scores.score, scores.raw, selected),
    )


def _verdict(
    position: int,
    action: Action,
    scores: Scores,
    compiled: CompiledPolicies,
    cuts: ProfileCuts,
) -> Verdict:
    frame = int(scores.frame[position])
    policy = compiled.policies[position]
    return Verdict(
        policy=policy,
        action=action,
        score=float(scores.score[position]),
        raw_score=float(scores.raw[position]),
        thresholds=cuts.thresholds[position],
        calibrated=bool(compiled.calibrated[position]),
        frame=frame,
        phrases=_nearest(compiled.phrases, position, scores.embeddings[frame]),
        contrast=_nearest(compiled.contrast, position, scores.embeddings[frame]),
        category_path=path_of(policy.category, compiled.policy_set.categories),
    )


def _nearest(side: Side, position: int, embedding: Embedding) -> tuple[PhraseMatch, ...]:
    span = side.spans.get(position)
    if span is None:
        return ()
    similarities = side.similarities(position, embedding).tolist()
    best = sorted(range(len(similarities)), key=lambda column: -similarities[column])
    return tuple(
        PhraseMatch(side.phrases[span.start + column].text, similarities[column])
        for column in best[:SHOWN_PHRASES]
    )
