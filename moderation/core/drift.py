"""Whether a policy's scores are distributed as they were: the population stability index.

    PSI = sum over bins of (observed - expected) * ln(observed / expected)

of shares, in bins that each hold as much of the reference (Siddiqi, Credit Risk
Scorecards, 2006, chapter 6). It is the symmetrised Kullback-Leibler divergence of the
two histograms. By custom less than 0.1 is no change, and more than 0.25 a large one.
Without any change it is about (1/n + 1/m) times a chi-squared variable with one degree
of freedom less than bins, for n and m contents (Yurdakul, 2018), so that few contents
look like drift: whoever asks has to wait for enough of them.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from moderation.core.policy import Policy, policy_hash
from moderation.core.scoring import ScoreScale

BINS = 10
LEAST_SHARE = 1e-4
"""Of a bin that holds nothing: a logarithm of 0 would make one rare content everything."""

Counts: TypeAlias = NDArray[np.int64] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Reference:
    """How one policy's raw scores were distributed, by one encoder and one wording."""

    policy_id: str
    encoder_id: str
    policy_hash: str
    scale: float
    contrast_aggregation: str
    """With `scale`, how similarities became raw scores; an encoder's id does not cover it."""
    edges: tuple[float, ...]
    """Rising, between the bins: a score on an edge belongs to the bin below it."""
    counts: tuple[int, ...]
    """Contents in each bin, one bin more than edges."""

    def __post_init__(self) -> None:
        """Refuse what no scores can be counted by."""
        edges = np.array(self.edges, dtype=np.float64)
        if not 1 <= len(edges) < BINS or len(self.counts) != len(edges) + 1:
            raise ValueError(f"{len(edges)} edges and {len(self.counts)} bins; at most {BINS} bins")
        if not np.all(np.isfinite(edges)) or np.any(np.diff(edges) <= 0):
            raise ValueError("edges must be finite and rise")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError("counts must not be negative, and there must be contents")

    def suits(self, policy: Policy, scale: ScoreScale) -> bool:
        """Whether the policy's raw scores still mean the same."""
        return (
            self.policy_hash == policy_hash(policy)
            and self.scale == scale.scale
            and self.contrast_aggregation == scale.contrast_aggregation
        )


def bins_of(raw: NDArray[np.float64]) -> tuple[float, ...]:
    """Edges of bins that hold about a tenth of float64[n] each, n > 0; none if all are equal.

    An edge lies half-way between two scores, so that rounding moves nothing over it; many
    equal scores share a bin, and there are fewer bins then.
    """
    values, counts = np.unique(raw, return_counts=True)
    if len(values) == 1:
        return ()
    # Contents below each gap between two scores, and where the bins are to end.
    below = np.cumsum(counts)[:-1]
    wanted = np.arange(1, BINS) * len(raw) / BINS
    nearest = np.abs(below[:, None] - wanted).argmin(axis=0)
    gaps = np.unique(nearest)
    return tuple(np.unique((values[gaps] + values[gaps + 1]) / 2).tolist())


def counted(raw: NDArray[np.float64], edges: tuple[float, ...]) -> NDArray[np.int64]:
    """How many of float64[n] fall into each bin, int64[len(edges) + 1]."""
    bins = np.searchsorted(np.array(edges), raw, side="left")
    return np.bincount(bins, minlength=len(edges) + 1).astype(np.int64)


def stability_index(expected: Counts, observed: Counts) -> NDArray[np.float64]:
    """PSI of counts [..., bins] against other counts; 0 for the same shares, and never less.

    Each side needs at least one content. A bin that is empty on both sides adds nothing.
    """
    one, other = _shares(expected), _shares(observed)
    return np.asarray(((other - one) * np.log(other / one)).sum(axis=-1))


def _shares(counts: Counts) -> NDArray[np.float64]:
    shares = np.asarray(counts / counts.sum(axis=-1, keepdims=True), dtype=np.float64)
    return np.maximum(shares, LEAST_SHARE)
