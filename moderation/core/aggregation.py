"""From the similarities of a group of phrases to one number for each group.

Every aggregation is bounded by its inputs, does not depend on their order, and
is never NaN. All of them work on all groups at once: `values` is float32[n, m],
the similarities of n frames to m phrases, of which each group is one run.

A weight below 1 draws a phrase's similarity towards the weakest of its group,
which keeps the result within the group's range for negative similarities too;
the heaviest phrase of a group always counts in full.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

SHARPNESS = 50.0
"""Of logsumexp: similarities closer than about 1/50 are averaged, others are not."""

TOP_K = 3

LEAST_WEIGHT = float(np.finfo(np.float32).tiny)
"""A weight that underflowed to 0 would make the logarithm of a sum infinite."""

Similarities: TypeAlias = NDArray[np.float32]
Weights: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Groups:
    """Runs of columns: group g covers columns starts[g] up to starts[g] + lengths[g]."""

    starts: NDArray[np.intp]
    lengths: NDArray[np.intp]
    weights: Weights
    """float32[m], in (0, 1], the largest of each group being 1."""

    @classmethod
    def from_weights(cls, weights_by_group: Sequence[Sequence[float]]) -> "Groups":
        """Groups in the order given; every group needs at least one phrase."""
        lengths = np.array([len(weights) for weights in weights_by_group], dtype=np.intp)
        if not lengths.size or not lengths.all():
            raise ValueError("every group needs at least one phrase")
        relative = [weight / max(group) for group in weights_by_group for weight in group]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.intp)
        return cls(starts, lengths, np.maximum(relative, LEAST_WEIGHT).astype(np.float32))


Aggregation = Callable[[Similarities, Groups], Similarities]


def maximum(values: Similarities, groups: Groups) -> Similarities:
    """The best phrase decides."""
    return np.maximum.reduceat(_weighted(values, groups), groups.starts, axis=1)


def mean(values: Similarities, groups: Groups) -> Similarities:
    """The weighted mean over all phrases."""
    total = np.add.reduceat(values * groups.weights, groups.starts, axis=1)
    return _within(total / np.add.reduceat(groups.weights, groups.starts), values, groups)


def top_k_mean(values: Similarities, groups: Groups) -> Similarities:
    """The mean of the best three phrases, or of all if there are fewer."""
    longest = int(groups.lengths.max())
    columns = groups.starts[:, None] + np.arange(longest)
    inside = np.arange(longest) < groups.lengths[:, None]
    weighted = _weighted(values, groups)
    padded = np.where(inside, weighted[:, np.where(inside, columns, 0)], -np.inf)
    best = -np.sort(-padded, axis=2)[:, :, :TOP_K]
    counted = np.minimum(groups.lengths, TOP_K)
    total = np.where(np.isfinite(best), best, 0.0).sum(axis=2)
    return _within((total / counted).astype(np.float32), values, groups)


def logsumexp(values: Similarities, groups: Groups) -> Similarities:
    """A soft maximum: log of the weighted mean of exp(50 x), over 50."""
    peak = np.maximum.reduceat(values, groups.starts, axis=1)
    shifted = np.exp(SHARPNESS * (values - np.repeat(peak, groups.lengths, axis=1)))
    total = np.add.reduceat(shifted * groups.weights, groups.starts, axis=1)
    weight = np.add.reduceat(groups.weights, groups.starts)
    return _within(peak + (np.log(total) - np.log(weight)) / SHARPNESS, values, groups)


AGGREGATIONS: Mapping[str, Aggregation] = MappingProxyType(
    {"max": maximum, "mean": mean, "top_k_mean": top_k_mean, "logsumexp": logsumexp}
)


def _weighted(values: Similarities, groups: Groups) -> Similarities:
    if (groups.weights == 1.0).all():
        return values
    lowest = np.repeat(np.minimum.reduceat(values, groups.starts, axis=1), groups.lengths, axis=1)
    drawn = lowest + groups.weights * (values - lowest)
    return np.asarray(np.minimum(drawn, values), dtype=np.float32)  # rounding may pass a value


def _within(
    result: NDArray[np.floating[Any]], values: Similarities, groups: Groups
) -> Similarities:
    """Rounding may carry a mean past its inputs by one unit; callers rely on the bound."""
    lowest = np.minimum.reduceat(values, groups.starts, axis=1)
    highest = np.maximum.reduceat(values, groups.starts, axis=1)
    return np.asarray(np.clip(result, lowest, highest), dtype=np.float32)
