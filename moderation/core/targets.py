"""Solves thresholds that are stated as targets, from scores whose truth is known.

The target's rate is about errors: benign contents that reach the threshold, or
violating ones that miss it. How many errors the sample may show follows from its
size alone, and the threshold from their ranks; `core.bounds` says why that proves it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.bounds import count_needed, cut_above, cut_below, errors_allowed, upper_bound
from moderation.core.calibration import SolvedThreshold, TargetKind, ThresholdTarget


@dataclass(frozen=True, slots=True)
class RefusedTarget:
    """A target that the data cannot prove."""

    target: ThresholdTarget
    count: int
    """Benign contents, or violating ones, that there are."""
    needed: int
    """The least that could prove it; `count` has reached it if more would not help."""

    def __str__(self) -> str:
        """What is missing."""
        kind = _KIND[self.target.kind]
        if self.count < self.needed:
            return f"{self.target} needs at least {self.needed} {kind} contents; got {self.count}"
        return f"{self.target}: too many {kind} contents have a probability of 1; no cut is higher"


_KIND = {TargetKind.MAX_FPR: "benign", TargetKind.MIN_RECALL: "violating"}


def solve_target(
    target: ThresholdTarget, scores: NDArray[np.float64], is_violating: NDArray[np.bool_]
) -> SolvedThreshold | RefusedTarget:
    """The threshold on scores in 0..1 that fulfils the target, in 95 % of all samples."""
    is_about_benign = target.kind is TargetKind.MAX_FPR
    rate = target.rate if is_about_benign else 1.0 - target.rate
    relevant = scores[is_violating != is_about_benign]
    allowed = errors_allowed(len(relevant), rate)
    if allowed is None:
        return RefusedTarget(target, len(relevant), count_needed(rate))
    if not is_about_benign:
        cut = cut_below(relevant, errors=allowed)
        proved = max(target.rate, 1.0 - upper_bound(allowed, len(relevant)))
        missed = int(np.count_nonzero(relevant < cut))
        return SolvedThreshold(target, cut, proved, missed, len(relevant))
    lowest = cut_above(relevant, errors=allowed)
    if lowest is None:
        return RefusedTarget(target, len(relevant), count_needed(rate))
    proved = min(target.rate, upper_bound(allowed, len(relevant)))
    reached = int(np.count_nonzero(relevant >= lowest))
    return SolvedThreshold(target, lowest, proved, reached, len(relevant))
