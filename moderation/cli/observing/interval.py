"""What happened between two looks at the metrics; counters that fell were begun anew."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from moderation.cli.observing.scrape import Labels, Scrape, summed

NOTHING: Mapping[Labels, float] = {}


@dataclass(frozen=True, slots=True)
class Interval:
    """From one scrape to a later one; without a first, from the server's start."""

    first: Scrape | None
    last: Scrape

    @property
    def seconds(self) -> float:
        """How long it was; never 0."""
        first = self.first
        return max(self.last.age_s if first is None else self.last.at - first.at, 1e-3)

    def increases(self, name: str, **wanted: str) -> Mapping[Labels, float]:
        """By how much each series of a counter rose, of those with these labels."""
        before = NOTHING if self.first is None else self.first.values.get(name, NOTHING)
        return {
            labels: value - before.get(labels, 0.0) if value >= before.get(labels, 0.0) else value
            for labels, value in self.last.values.get(name, NOTHING).items()
            if wanted.items() <= set(labels)
        }

    def rate(self, name: str, **wanted: str) -> float:
        """Of all series together, a second."""
        return sum(self.increases(name, **wanted).values()) / self.seconds

    def rates(self, name: str, label: str, **wanted: str) -> dict[str, float]:
        """By one label, a second."""
        rises = summed(self.increases(name, **wanted), label)
        return {value: rise / self.seconds for value, rise in rises.items()}

    def mean(self, histogram: str) -> float | None:
        """Of what was observed; None if nothing was."""
        count = sum(self.increases(f"{histogram}_count").values())
        return sum(self.increases(f"{histogram}_sum").values()) / count if count else None

    def quantile(self, share: float, histogram: str, **wanted: str) -> float | None:
        """The value below which this share lies, interpolated within its bucket as Prometheus does.

        The last finite edge if it lies beyond; None if nothing was observed.
        """
        rises = summed(self.increases(f"{histogram}_bucket", **wanted), "le")
        counts = sorted((float(edge), count) for edge, count in rises.items())
        if not counts or not counts[-1][1]:
            return None
        rank = share * counts[-1][1]
        lower, below = 0.0, 0.0
        for edge, count in counts:
            if count >= rank and count > below:
                if math.isinf(edge):
                    return lower
                return lower + (edge - lower) * (rank - below) / (count - below)
            lower, below = edge, count
        return lower
