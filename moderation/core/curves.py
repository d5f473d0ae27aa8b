"""Every policy's curve from raw score to probability, applied to all policies at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from moderation.core.calibration import Calibration, Fit, IsotonicCalibration

Real = TypeVar("Real", np.float32, np.float64)

_IDENTITY = Calibration(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Curves:
    """Logistic curves for all policies, and rising lines in place of some of them."""

    bias: NDArray[np.float64]
    temperature: NDArray[np.float64]
    stepped: NDArray[np.intp]
    """Positions of the policies that have a line."""
    raw: NDArray[np.float64]
    """float64[stepped, points]; a shorter line repeats its last point."""
    probability: NDArray[np.float64]
    """float64[stepped, points]."""

    @classmethod
    def from_fits(cls, fits: Sequence[Fit]) -> "Curves":
        """The curves of policies in this order."""
        logistic = [fit if isinstance(fit, Calibration) else _IDENTITY for fit in fits]
        lines = {
            position: fit.points
            for position, fit in enumerate(fits)
            if isinstance(fit, IsotonicCalibration)
        }
        longest = max((len(points) for points in lines.values()), default=2)
        padded = np.array(
            [(*points, *[points[-1]] * (longest - len(points))) for points in lines.values()],
            dtype=np.float64,
        ).reshape(len(lines), longest, 2)
        return cls(
            bias=np.array([fit.bias for fit in logistic], dtype=np.float64),
            temperature=np.array([fit.temperature for fit in logistic], dtype=np.float64),
            stepped=np.array(list(lines), dtype=np.intp),
            raw=padded[:, :, 0],
            probability=padded[:, :, 1],
        )

    def apply(self, raw: NDArray[Real]) -> NDArray[Real]:
        """Probabilities 0..1 for raw scores, both [..., policies], float64 or both float32."""
        logit = raw - self.bias.astype(raw.dtype)
        logit /= self.temperature.astype(raw.dtype)
        score = _sigmoid(logit)
        if self.stepped.size:
            score[..., self.stepped] = self._along_lines(raw[..., self.stepped])
        return score

    @property
    def steepness(self) -> NDArray[np.float64]:
        """The most that a probability changes for a raw score's 1, float64[policies]."""
        steepness = 0.25 / self.temperature
        if self.stepped.size:
            width, rise = np.diff(self.raw), np.diff(self.probability)
            slopes = np.where(width > 0.0, rise / np.where(width > 0.0, width, 1.0), 0.0)
            steepness[self.stepped] = slopes.max(axis=1)
        return steepness

    def _along_lines(self, raw: NDArray[Real]) -> NDArray[np.float64]:
        raw = raw.astype(np.float64)  # the points of a line may lie very close to each other
        lines = np.arange(len(self.stepped))
        passed = (raw[..., None] >= self.raw).sum(axis=-1)
        before = np.maximum(passed - 1, 0)
        after = np.minimum(passed, self.raw.shape[1] - 1)
        width = self.raw[lines, after] - self.raw[lines, before]
        share = (raw - self.raw[lines, before]) / np.where(width > 0.0, width, 1.0)
        low, high = self.probability[lines, before], self.probability[lines, after]
        return np.asarray(low + np.clip(share, 0.0, 1.0) * (high - low), dtype=np.float64)


def _sigmoid(logit: NDArray[Real]) -> NDArray[Real]:
    # The exponential of what is not above 0 cannot overflow, and takes numpy a third of the time
    # of tanh, which a diff over tens of millions of scores feels; and so does a new array.
    small = np.abs(logit)
    np.negative(small, out=small)
    np.exp(small, out=small)
    above = np.where(logit < 0.0, small, np.ones((), dtype=logit.dtype))
    small += 1.0
    above /= small
    return above
