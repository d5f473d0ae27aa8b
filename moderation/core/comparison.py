"""Two encoders judged on the same content: how scores moved, which decisions flip, and new cuts.

A threshold is re-fitted so that the new encoder flags as many as the old one did:
the same quantile of its own scores. That keeps the amount of review work, not
the choice of what is flagged; how far the two agree is told beside it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from moderation.core.policy import Action, Thresholds

Z_95 = 1.959963984540054
"""Two-sided 95 % of the normal distribution."""
DIGITS = 6
RATE_TOLERANCE = 0.01
"""A re-fitted threshold may move the flag rate by one point."""

Scores = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which two encoders judged, and by which policy set: only pairs of one pairing compare."""

    old_encoder: str
    new_encoder: str
    policy_set_version: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One content's score for each policy, by the old encoder and by the new one."""

    content: str
    """A digest, by which a content seen again is known; never its id."""
    scores: Mapping[str, tuple[float, float]]
    pairing: Pairing


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of `total` with Wilson's 95 % interval (Wilson 1927)."""

    count: int
    total: int

    @property
    def value(self) -> float:
        """The share itself; 0 of nothing is 0."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound; everything is possible where nothing was seen."""
        n = self.total
        if not n:
            return 0.0, 1.0
        spread = Z_95 * np.sqrt(self.value * (1 - self.value) / n + Z_95**2 / (4 * n**2))
        middle = self.value + Z_95**2 / (2 * n)
        scale = 1 + Z_95**2 / n
        low, high = (middle - spread) / scale, (middle + spread) / scale
        return max(0.0, float(low)), min(1.0, float(high))


@dataclass(frozen=True, slots=True)
class Shift:
    """How the new scores differ from the old ones."""

    mean: float
    median: float
    p95_absolute: float
    rank_correlation: float
    """Spearman's: 1 when both encoders put all content into the same order."""


@dataclass(frozen=True, slots=True)
class Refit:
    """One threshold for the new encoder."""

    old: float
    new: float
    old_rate: Rate
    unchanged_rate: Rate
    """What the old threshold would flag of the new scores."""
    new_rate: Rate
    held_out_difference: float | None
    """Mean difference of rates when fitted on one half and counted on the other; None: too few."""
    is_extrapolated: bool
    """Nothing, or everything, was flagged: the pairs only bound the threshold."""

    @property
    def keeps_rate(self) -> bool:
        """Whether the flag rate stays within the tolerance, on content not fitted on too."""
        differences = [self.new_rate.value - self.old_rate.value, self.held_out_difference or 0.0]
        return all(abs(one) <= RATE_TOLERANCE + 1e-12 for one in differences)


@dataclass(frozen=True, slots=True)
class PolicyComparison:
    """One policy under one profile's cuts."""

    policy_id: str
    profile: str
    """Empty for the policy's own thresholds."""
    shift: Shift
    agreement: Rate
    flips: Mapping[tuple[Action, Action], int]
    """How many went from one action to another, at the old thresholds."""
    review: Refit
    block: Refit | None

    @property
    def thresholds(self) -> Thresholds:
        """The cuts to write for the new encoder."""
        return Thresholds(self.review.new, None if self.block is None else self.block.new)


def compare(
    pairs: Sequence[Pair], cuts: Mapping[tuple[str, str], Thresholds]
) -> list[PolicyComparison]:
    """Every policy's comparison; `cuts` by policy id and profile, without policies never scored.

    The same content counts once, as it was scored last.
    """
    distinct = list({pair.content: pair for pair in pairs}.values())
    found: list[PolicyComparison] = []
    for (policy_id, profile), thresholds in cuts.items():
        rows = [pair for pair in distinct if policy_id in pair.scores]
        if rows:
            scores = np.array([pair.scores[policy_id] for pair in rows], dtype=np.float64)
            half = np.array([_in_first_half(pair.content) for pair in rows])
            found.append(_compared(policy_id, profile, thresholds, scores, half))
    return found


def quantile_match(old: Scores, new: Scores, threshold: float) -> float:
    """The threshold at which `new` flags as many as `old` does at its own; both not empty.

    The same threshold where it does that already. Where scores are equal no threshold may
    hit the number; then the nearest that it can.
    """
    wanted = int(np.sum(old >= threshold))
    if int(np.sum(new >= threshold)) == wanted:
        return threshold
    distinct = np.unique(new)[::-1]
    between = (distinct[:-1] + distinct[1:]) / 2
    candidates = np.concatenate([[(1.0 + distinct[0]) / 2], between, [distinct[-1] / 2]])
    candidates = np.round(candidates, DIGITS)  # as it will be written, so that it is what counts
    flagged = len(new) - np.searchsorted(np.sort(new), candidates, side="left")
    return float(candidates[np.argmin(np.abs(flagged - wanted))])


def _compared(
    policy_id: str,
    profile: str,
    thresholds: Thresholds,
    scores: Scores,
    half: NDArray[np.bool_],
) -> PolicyComparison:
    old, new = scores.T
    before, after = _actions(old, thresholds), _actions(new, thresholds)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
    block = None if thresholds.block is None else _refit(old, new, thresholds.block, half)
    review = _refit(old, new, thresholds.review, half)
    if block is not None and review.new > block.new:
        # Both then lie between the same two scores, and flag the same.
        review = replace(review, new=block.new)
    return PolicyComparison(
        policy_id=policy_id,
        profile=profile,
        shift=_shift(old, new),
        agreement=Rate(len(old) - len(changed), len(old)),
        flips={pair: changed.count(pair) for pair in sorted(set(changed))},
        review=review,
        block=block,
    )


def _actions(scores: Scores, thresholds: Thresholds) -> list[Action]:
    return [thresholds.action_for(float(score)) for score in scores]


def _shift(old: Scores, new: Scores) -> Shift:
    difference = new - old
    return Shift(
        mean=float(difference.mean()),
        median=float(np.median(difference)),
        p95_absolute=float(np.quantile(np.abs(difference), 0.95)),
        rank_correlation=_correlation(_ranks(old), _ranks(new)),
    )


def _refit(old: Scores, new: Scores, threshold: float, half: NDArray[np.bool_]) -> Refit:
    fitted = quantile_match(old, new, threshold)
    flagged = int(np.sum(old >= threshold))
    return Refit(
        old=threshold,
        new=fitted,
        old_rate=Rate(flagged, len(old)),
        unchanged_rate=_rate(new, threshold),
        new_rate=_rate(new, fitted),
        held_out_difference=_held_out(old, new, threshold, half),
        is_extrapolated=flagged in (0, len(old)),
    )


def _held_out(old: Scores, new: Scores, threshold: float, half: NDArray[np.bool_]) -> float | None:
    """Each half is judged by the threshold of the other; the two differences' mean."""
    if not 0 < half.sum() < len(half):
        return None
    differences = []
    for fit in (half, ~half):
        fitted = quantile_match(old[fit], new[fit], threshold)
        differences.append(_rate(new[~fit], fitted).value - _rate(old[~fit], threshold).value)
    return float(np.mean(differences))


def _rate(scores: Scores, threshold: float) -> Rate:
    return Rate(int(np.sum(scores >= threshold)), len(scores))


def _in_first_half(content: str) -> bool:
    """A digest's last bit, so that a content is on the same side in every run."""
    return int(content[-1], 16) % 2 == 0


def _ranks(scores: Scores) -> Scores:
    """Ranks from 1; equal scores share the mean of theirs."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def _correlation(one: Scores, other: Scores) -> float:
    """Pearson's; 1 where nothing varies, for nothing then disagrees."""
    if np.ptp(one) == 0.0 or np.ptp(other) == 0.0:
        return 1.0
    return float(np.corrcoef(one, other)[0, 1])
