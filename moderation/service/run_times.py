"""How long a batch takes, by its size: learned from those that ran."""

WEIGHT = 0.1
"""Of the latest batch in what is known, once there have been a few."""
USUAL_ERRORS = 2.0
"""So many mean errors are added to what is expected: a batch that is late is encoded in vain."""


class RunTimes:
    """A straight line of run time over batch size, of which the latest batches count most.

    As long as all were of one size, another one is taken to be in proportion.
    """

    def __init__(self) -> None:
        self._batches = 0
        self._size = self._run_s = self._error_s = 0.0
        """Means, of the errors without their signs."""
        self._variance = self._covariance = 0.0
        """Of the sizes, and of these with the run times."""

    def ran(self, size: int, run_s: float) -> None:
        """Learn from a batch of so many."""
        self._batches += 1
        weight = max(WEIGHT, 1 / self._batches)
        if self._batches > 1:
            self._error_s += weight * (abs(run_s - self._line(size)) - self._error_s)
        larger, longer = size - self._size, run_s - self._run_s
        self._size += weight * larger
        self._run_s += weight * longer
        self._variance = (1 - weight) * (self._variance + weight * larger**2)
        self._covariance = (1 - weight) * (self._covariance + weight * larger * longer)

    def distrust(self, share: float) -> None:
        """Expect only so much of what was expected, for want of a batch to learn from."""
        self._run_s *= share
        self._error_s *= share
        self._covariance *= share

    def within_s(self, size: int) -> float:
        """Seconds in which a batch of so many is ready, most likely; 0 if none has run yet."""
        return self._line(size) + USUAL_ERRORS * self._error_s

    def _line(self, size: int) -> float:
        if not self._batches:
            return 0.0
        in_proportion = self._run_s / self._size
        slope = self._covariance / self._variance if self._variance else in_proportion
        # More never takes less, and none takes less than nothing.
        return self._run_s + min(max(slope, 0.0), in_proportion) * (size - self._size)
