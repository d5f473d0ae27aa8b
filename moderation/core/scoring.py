"""From an embedding to one score for each policy: matrix products and grouped reductions.

    raw   = scale * (aggregate(similarities to phrases) - aggregate(similarities to contrast))
    score = 1 / (1 + exp(-(raw - bias) / temperature))

Each policy stands on its own: adding a policy never changes another one's score,
which a softmax over all labels could not promise (Radford et al. 2021, section 7.1).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from moderation.core.aggregation import AGGREGATIONS, Groups, Similarities, mean
from moderation.core.calibration import Calibration
from moderation.core.content import Embedding, Embeddings
from moderation.core.curves import Curves
from moderation.core.errors import EncodingFailed, PolicySetRejected, Problem
from moderation.core.policy import Mode, Phrase, Policy, PolicySet, Profile, Thresholds
from moderation.core.solving import fit_of, is_calibrated, require_solved, solved

LEAST_NORM = 1e-6
"""Of a mean of unit vectors; what is shorter points nowhere in particular."""


@dataclass(frozen=True, slots=True)
class ScoreScale:
    """How an encoder's similarities become scores where no calibration exists."""

    scale: float
    default: Calibration
    contrast_aggregation: str = "mean"

    def __post_init__(self) -> None:
        """Refuse a scale that would turn the order of similarities around."""
        if not 0.0 < self.scale < np.inf:
            raise ValueError(f"scale {self.scale} must be finite and above 0")
        if self.contrast_aggregation not in AGGREGATIONS:
            raise ValueError(f"unknown contrast aggregation {self.contrast_aggregation!r}")


@dataclass(frozen=True, slots=True)
class Block:
    """Policies that are reduced in the same way: where they stand, and their phrases' columns."""

    aggregation: str
    policies: NDArray[np.intp]
    columns: slice
    groups: Groups
    means: Embeddings | None
    """For the mean, float32[policies, dim]: a mean of similarities is the similarity to the mean,
    and no phrase has to be read."""


@dataclass(frozen=True, slots=True)
class Side:
    """The phrases, or the contrast phrases, of all policies as one matrix."""

    matrix: Embeddings
    phrases: tuple[Phrase, ...]
    spans: Mapping[int, slice]
    """Columns by position of the policy; a policy without such phrases is missing."""
    blocks: tuple[Block, ...]

    def rows(self, positions: Mapping[int, int]) -> Mapping[int, Embeddings]:
        """The rows of policies, by the position that each has elsewhere."""
        return {
            elsewhere: self.matrix[self.spans[here]]
            for elsewhere, here in positions.items()
            if here in self.spans
        }

    def aggregate(self, embeddings: Embeddings, n_policies: int) -> Similarities:
        """One number for each content and policy, float32[n, policies]; 0 without phrases."""
        reduced = np.zeros((len(embeddings), n_policies), dtype=np.float32)
        for block in self.blocks:
            if block.means is not None:
                reduced[:, block.policies] = embeddings @ block.means.T
                continue
            similarities = embeddings @ self.matrix[block.columns].T
            aggregation = AGGREGATIONS[block.aggregation]
            reduced[:, block.policies] = aggregation(similarities, block.groups)
        return reduced

    def similarities(self, position: int, embedding: Embedding) -> Similarities:
        """Of one content to the phrases of a policy that has some, float32[phrases]."""
        similarities: Similarities = self.matrix[self.spans[position]] @ embedding
        return similarities


@dataclass(frozen=True, slots=True)
class ProfileCuts:
    """A profile's view of the compiled policies, as arrays over their positions."""

    profile: Profile
    thresholds: tuple[Thresholds, ...]
    review: NDArray[np.float64]
    block: NDArray[np.float64]
    """Infinite where a policy never blocks."""
    selected: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CompiledPolicies:
    """A policy set made ready for one encoder; immutable, so a request can hold on to it."""

    policy_set: PolicySet
    encoder_id: str
    policies: tuple[Policy, ...]
    """Those that are on; arrays over policies follow this order."""
    positions: Mapping[str, int]
    scale: float
    curves: Curves
    calibrated: NDArray[np.bool_]
    """Fitted to labels, and to this very wording of the policy."""
    enforced: NDArray[np.bool_]
    canaries: Mapping[int, float]
    """Shares by position, of the enforced policies that act on a share only."""
    thresholds: tuple[Thresholds, ...]
    """Each policy's own, as numbers."""
    phrases: Side
    contrast: Side
    cuts: Mapping[str, ProfileCuts]
    """By profile id."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one content scored; for an animation, the highest frame of each policy counts."""

    score: NDArray[np.float64]
    """float64[policies], 0..1."""
    raw: NDArray[np.float64]
    """float64[policies], before calibration."""
    frame: NDArray[np.intp]
    """int[policies], the frame that gave the score."""
    embeddings: Embeddings = field(repr=False)
    """Of the frames: what is shown of a verdict's phrases is computed from them."""


def texts_of(phrase: Phrase, templates: Sequence[str]) -> tuple[str, ...]:
    """The phrase under each template, as the text encoder is to see it."""
    text = phrase.text
    return tuple([template.replace("{}", text) for template in templates])  # twice as fast


def texts_to_embed(policy_set: PolicySet) -> frozenset[str]:
    """Every text whose embedding `compile_policies` needs."""
    return frozenset(
        text
        for policy in policy_set.policies
        if policy.mode is not Mode.OFF
        for phrase in (*policy.phrases, *policy.contrast)
        for text in texts_of(phrase, policy.templates)
    )


def ensemble(embeddings: NDArray[np.float32]) -> Embeddings:
    """The normalised mean of each phrase's unit vectors, float32[phrases, templates, dim].

    Prompt ensembling in embedding space (Radford et al. 2021, section 3.1.4).
    Raises EncodingFailed if a phrase's vectors cancel each other out.
    """
    means = embeddings.mean(axis=1)
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    if not np.all(norms > LEAST_NORM):
        raise EncodingFailed("the embeddings of a phrase under its templates cancel out")
    return np.asarray(means / norms, dtype=np.float32)


def compile_policies(  # noqa: PLR0913 - all that it depends on, each by name
    policy_set: PolicySet,
    *,
    encoder_id: str,
    scale: ScoreScale,
    embedding_by_text: Mapping[str, Embedding],
    day: date | None = None,
    is_starter: bool = False,
    former: CompiledPolicies | None = None,
) -> CompiledPolicies:
    """Make a policy set ready for scoring on that day, or as if no policy had dates.

    What `former`, compiled for the same encoder, holds of a policy that is still the same
    object is taken over: one edit among a thousand policies is quick.
    With the starter encoder, policies that need CLIP are shadows: it cannot judge them.
    Raises PolicySetRejected if a target is not solved, or nothing is on that day;
    KeyError if a text was not embedded; EncodingFailed as `ensemble` does.
    """
    require_solved(policy_set)
    active = _active(policy_set, day)
    fits = [fit_of(policy, policy_set) or scale.default for policy in active]
    phrases_by_policy = [policy.phrases for policy in active]
    contrast_by_policy = [policy.contrast for policy in active]
    same = _same(active, former)
    aggregations = [policy.aggregation for policy in active]
    contrast_aggregations = [scale.contrast_aggregation] * len(active)
    return CompiledPolicies(
        policy_set=policy_set,
        encoder_id=encoder_id,
        policies=active,
        positions={policy.id: position for position, policy in enumerate(active)},
        scale=scale.scale,
        curves=Curves.from_fits(fits),
        calibrated=np.array([is_calibrated(policy, policy_set) for policy in active]),
        enforced=np.array(
            [
                policy.mode is Mode.ENFORCE and not (is_starter and policy.needs_clip)
                for policy in active
            ]
        ),
        canaries={
            position: policy.canary for position, policy in enumerate(active) if policy.canary < 1.0
        },
        thresholds=tuple(solved(policy.thresholds, policy, policy_set) for policy in active),
        phrases=_side(
            active,
            phrases_by_policy,
            aggregations,
            embedding_by_text,
            former.phrases.rows(same) if former else {},
        ),
        contrast=_side(
            active,
            contrast_by_policy,
            contrast_aggregations,
            embedding_by_text,
            former.contrast.rows(same) if former else {},
        ),
        cuts={name: _cuts(one, active, policy_set) for name, one in policy_set.profiles.items()},
    )


def _same(active: Sequence[Policy], former: CompiledPolicies | None) -> Mapping[int, int]:
    """Where a policy stood before, by where it stands now; without those that were edited."""
    if former is None:
        return {}
    before = {id(policy): position for position, policy in enumerate(former.policies)}
    return {
        position: before[id(policy)]
        for position, policy in enumerate(active)
        if id(policy) in before
    }


def _active(policy_set: PolicySet, day: date | None) -> tuple[Policy, ...]:
    """Those that are on; what is reduced alike stands side by side, so one call serves it all."""
    on = (
        policy
        for policy in policy_set.policies
        if (policy.mode is not Mode.OFF if day is None else policy.is_on(day))
    )
    active = tuple(sorted(on, key=lambda policy: (policy.aggregation, policy.id)))
    if not active:
        message = f"every policy is off or outside its dates on {day}; nothing would be judged"
        raise PolicySetRejected((Problem("policies", 0, 0, message),))
    return active


def score(embeddings: Embeddings, compiled: CompiledPolicies) -> Scores:
    """Score one content, given as unit vectors float32[frames, dim], against every policy."""
    n_policies = len(compiled.policies)
    towards = compiled.phrases.aggregate(embeddings, n_policies)
    away = compiled.contrast.aggregate(embeddings, n_policies)
    raw = compiled.scale * (towards - away).astype(np.float64)
    frame = raw.argmax(axis=0)
    worst = raw[frame, np.arange(n_policies)]
    return Scores(
        score=calibrated(worst, compiled),
        raw=worst,
        frame=frame,
        embeddings=embeddings,
    )


def calibrated(raw: NDArray[np.float64], compiled: CompiledPolicies) -> NDArray[np.float64]:
    """Scores 0..1 from raw scores; both float64[..., policies]."""
    return compiled.curves.apply(raw)


def _side(
    policies: Sequence[Policy],
    phrases_by_policy: Sequence[tuple[Phrase, ...]],
    aggregations: Sequence[str],
    embedding_by_text: Mapping[str, Embedding],
    rows_by_position: Mapping[int, Embeddings],
) -> Side:
    spans: dict[int, slice] = {}
    dim = next(iter(embedding_by_text.values())).size
    matrices: list[Embeddings] = [np.zeros((0, dim), dtype=np.float32)]
    filled = 0
    for position, (policy, phrases) in enumerate(zip(policies, phrases_by_policy, strict=True)):
        if not phrases:
            continue
        spans[position] = slice(filled, filled + len(phrases))
        filled += len(phrases)
        if (known := rows_by_position.get(position)) is not None:
            matrices.append(known)
            continue
        rows = [
            embedding_by_text[text]
            for phrase in phrases
            for text in texts_of(phrase, policy.templates)
        ]
        shape = (len(phrases), len(policy.templates), dim)
        matrices.append(ensemble(np.concatenate(rows).reshape(shape)))
    matrix = np.concatenate(matrices)
    return Side(
        matrix=matrix,
        phrases=tuple(phrase for phrases in phrases_by_policy for phrase in phrases),
        spans=spans,
        blocks=tuple(_blocks(matrix, spans, phrases_by_policy, aggregations)),
    )


def _blocks(
    matrix: Embeddings,
    spans: Mapping[int, slice],
    phrases_by_policy: Sequence[tuple[Phrase, ...]],
    aggregations: Sequence[str],
) -> list[Block]:
    blocks = []
    for aggregation, run in groupby(spans, key=lambda position: aggregations[position]):
        positions = list(run)
        weights = [[phrase.weight for phrase in phrases_by_policy[p]] for p in positions]
        columns = slice(spans[positions[0]].start, spans[positions[-1]].stop)
        groups = Groups.from_weights(weights)
        means = _means(matrix[columns], groups) if AGGREGATIONS[aggregation] is mean else None
        blocks.append(
            Block(aggregation, np.array(positions, dtype=np.intp), columns, groups, means)
        )
    return blocks


def _means(rows: Embeddings, groups: Groups) -> Embeddings:
    """The weighted mean of each group's rows."""
    weights = groups.weights[:, None]
    weighted = rows if (weights == 1.0).all() else rows * weights
    total = np.add.reduceat(weighted, groups.starts, axis=0)
    return np.asarray(total / np.add.reduceat(weights, groups.starts, axis=0), dtype=np.float32)


def _cuts(profile: Profile, policies: Sequence[Policy], policy_set: PolicySet) -> ProfileCuts:
    thresholds = tuple(
        solved(profile.thresholds.get(policy.id, policy.thresholds), policy, policy_set)
        for policy in policies
    )
    return ProfileCuts(
        profile=profile,
        thresholds=thresholds,
        review=np.array([cut.review for cut in thresholds]),
        block=np.array([np.inf if cut.block is None else cut.block for cut in thresholds]),
        selected=np.array([profile.selects(policy.id) for policy in policies], dtype=np.bool_),
    )
