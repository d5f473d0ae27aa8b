"""What people said of contents: whether each violates a policy."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Label:
    """One person's answer: this content violates that policy, or does not."""

    content: str
    """Path of an image, or, without `is_image`, the id of a content whose embedding is stored."""
    policy_id: str
    is_violating: bool
    is_image: bool = True
    line: int = field(default=0, compare=False)
    """Where it was written."""

    @property
    def subject(self) -> tuple[bool, str]:
        """What was looked at; an image and an id of the same name are two things."""
        return self.is_image, self.content


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """A policy's raw scores for labelled contents, float64[n], and the answers, bool[n]."""

    raw: NDArray[np.float64]
    is_violating: NDArray[np.bool_]

    @property
    def n_violating(self) -> int:
        """How many violate the policy."""
        return int(np.count_nonzero(self.is_violating))

    @property
    def n_benign(self) -> int:
        """How many do not."""
        return len(self.is_violating) - self.n_violating
