"""How good probabilities are: whether they say what happens, and how well they separate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.bounds import interval


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Contents of like probability: what was said of them, and what is true."""

    count: int
    mean_probability: float
    share_violating: float
    low: float
    """Lower end of the 95 % interval of the true share."""
    high: float


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """What a cut at `score` finds: of what reaches it, and of all that violate."""

    score: float
    precision: float
    recall: float


def reliability(
    probabilities: NDArray[np.float64], is_violating: NDArray[np.bool_], *, bins: int = 10
) -> tuple[ReliabilityBin, ...]:
    """The contents in bins of about equal count, from improbable to probable."""
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return tuple(_bin(probabilities[part], is_violating[part]) for part in parts)


def precision_recall(
    scores: NDArray[np.float64], is_violating: NDArray[np.bool_], *, points: int = 200
) -> tuple[PrecisionRecall, ...]:
    """The curve over the cuts at every different score, thinned to about so many of them."""
    cuts = np.unique(scores)
    cuts = cuts[np.unique(np.linspace(0, len(cuts) - 1, points).astype(int))]
    benign, violating = np.sort(scores[~is_violating]), np.sort(scores[is_violating])
    found = len(violating) - np.searchsorted(violating, cuts)
    flagged = found + len(benign) - np.searchsorted(benign, cuts)
    return tuple(
        PrecisionRecall(float(cut), float(hits / all_hits), float(hits / len(violating)))
        for cut, hits, all_hits in zip(cuts, found, flagged, strict=True)
    )


def _bin(probabilities: NDArray[np.float64], is_violating: NDArray[np.bool_]) -> ReliabilityBin:
    count, violating = len(is_violating), int(np.count_nonzero(is_violating))
    low, high = interval(violating, count)
    return ReliabilityBin(count, float(probabilities.mean()), violating / count, low, high)
