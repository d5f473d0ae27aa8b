"""How sure a share is that was counted on a sample."""

from dataclasses import dataclass
from math import sqrt

NORMAL_QUANTILE = 1.959963984540054
"""Of 0.975: intervals hold in 95 % of samples."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    count: int
    total: int

    def __post_init__(self) -> None:
        """Refuse what cannot be counted."""
        if not 0 <= self.count <= self.total:
            raise ValueError(f"{self.count} of {self.total} is no share")

    @property
    def rate(self) -> float:
        """The share itself; 0 of nothing."""
        return self.count / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval (Wilson 1927, J. Am. Stat. Assoc. 22, 209-212).

        It stays within 0..1 and says something even of 0 and of all; of nothing it says 0..1.
        """
        if not self.total:
            return 0.0, 1.0
        z2 = NORMAL_QUANTILE**2
        spread = 1.0 + z2 / self.total
        centre = (self.rate + z2 / (2 * self.total)) / spread
        variance = self.rate * (1.0 - self.rate) / self.total + z2 / (4 * self.total**2)
        half = NORMAL_QUANTILE * sqrt(variance) / spread
        low = 0.0 if self.count == 0 else centre - half
        high = 1.0 if self.count == self.total else centre + half
        return max(0.0, low), min(1.0, high)
