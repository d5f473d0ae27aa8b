"""What labelled data teach about one policy under one encoder: probabilities and solved thresholds.

A calibration is bound to its encoder and to what determines the policy's raw
score, so that it can never be used for scores other than those it was fitted to.
Fitting is left to whoever has the labels.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import pairwise
from typing import TypeAlias

import numpy as np

RATE_TOLERANCE = 1e-9
"""Within which two rates are the same target: 0.005 may come back from a file as another float."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What turns a policy's raw score into a probability: Platt's logistic fit (Platt 1999)."""

    bias: float
    temperature: float

    def __post_init__(self) -> None:
        """Refuse a fit that would turn the scale around or divide by zero."""
        if not (np.isfinite(self.bias) and 0.0 < self.temperature < np.inf):
            raise ValueError(f"{self} needs a finite bias and a finite temperature above 0")


@dataclass(frozen=True, slots=True)
class IsotonicCalibration:
    """A rising line through points (raw score, probability); flat beyond its ends."""

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        """Refuse a line that falls, stands on one point, or leaves 0..1."""
        if len(self.points) < 2 or not np.isfinite(self.points).all():
            raise ValueError("an isotonic fit needs two or more finite points")
        for (raw, probability), (next_raw, next_probability) in pairwise(self.points):
            if not (raw < next_raw and probability <= next_probability):
                raise ValueError(f"an isotonic fit must rise; it does not after raw score {raw}")
        if not (self.points[0][1] >= 0.0 and self.points[-1][1] <= 1.0):
            raise ValueError("the probabilities of an isotonic fit must lie between 0 and 1")


Fit: TypeAlias = Calibration | IsotonicCalibration


class TargetKind(StrEnum):
    """What a threshold is to guarantee, with 95 % confidence."""

    MAX_FPR = "max_fpr"
    """At most this share of benign content reaches the threshold."""
    MIN_RECALL = "min_recall"
    """At least this share of violating content reaches the threshold."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where something was written; line and column count from 1."""

    file: str
    line: int
    column: int


@dataclass(frozen=True, slots=True)
class ThresholdTarget:
    """A threshold stated as what it is to guarantee; a calibration solves it."""

    kind: TargetKind
    rate: float
    origin: Origin | None = field(default=None, compare=False)
    """Where it was written, for whoever has to refuse it; not a part of its meaning."""

    def __post_init__(self) -> None:
        """Refuse a rate that no finite sample can prove."""
        if not 0.0 < self.rate < 1.0:
            raise ValueError(f"{self.kind} ({self.rate}) must be above 0 and below 1")

    def __str__(self) -> str:
        """The form in which it is written."""
        return f"{self.kind.value}: {self.rate:g}"

    def is_same(self, other: "ThresholdTarget") -> bool:
        """Whether both ask for the same guarantee, wherever they are written."""
        return self.kind is other.kind and abs(self.rate - other.rate) < RATE_TOLERANCE


@dataclass(frozen=True, slots=True)
class SolvedThreshold:
    """The threshold that fulfils a target, and what the data prove of it."""

    target: ThresholdTarget
    threshold: float
    """On the calibrated score, 0..1."""
    bound: float
    """The proved rate: an upper bound for max_fpr, a lower one for min_recall."""
    errors: int
    """Benign contents at or above the threshold, or violating ones below it."""
    count: int
    """Benign contents, or violating ones, that it was solved on."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot come from counting."""
        if not 0.0 <= self.threshold <= 1.0 or not 0.0 <= self.bound <= 1.0:
            raise ValueError(f"threshold and bound must lie between 0 and 1: {self}")
        if not 0 <= self.errors <= self.count:
            raise ValueError(f"{self.errors} errors of {self.count} cannot be")
        is_upper = self.target.kind is TargetKind.MAX_FPR
        is_kept = self.bound <= self.target.rate if is_upper else self.bound >= self.target.rate
        if not is_kept:
            raise ValueError(f"a bound of {self.bound} does not fulfil {self.target}")


@dataclass(frozen=True, slots=True)
class PolicyCalibration:
    """One policy's calibration; `policy_hash` is `moderation.core.policy.policy_hash`."""

    policy_id: str
    encoder_id: str
    policy_hash: str
    fit: Fit
    positives: int
    """Violating contents that it was fitted to."""
    negatives: int
    """Benign contents that it was fitted to."""
    solved: tuple[SolvedThreshold, ...] = ()

    @property
    def method(self) -> str:
        """How it was fitted, as files and reports call it."""
        return "platt" if isinstance(self.fit, Calibration) else "isotonic"

    def threshold_for(self, target: ThresholdTarget) -> float | None:
        """The threshold solved for a target; None if it was not solved."""
        solved = (one.threshold for one in self.solved if one.target.is_same(target))
        return next(solved, None)
