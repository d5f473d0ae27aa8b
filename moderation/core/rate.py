"""How often something may happen: a bucket that fills by itself, and from which each time takes."""


class TokenBucket:
    """Lets `burst` through at once and `rate_per_s` in the long run; starts full."""

    def __init__(self, *, rate_per_s: float, burst: float, now: float) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._tokens = burst
        self._filled_at = now

    def take(self, now: float) -> float:
        """Take one token if there is one; else the seconds until there will be. 0 means taken."""
        wait_s = self.wait_s(now)
        if not wait_s:
            self._tokens -= 1.0
        return wait_s

    def wait_s(self, now: float) -> float:
        """The seconds until there will be a token, 0 if there is one; none is taken."""
        # A clock that was set back fills nothing.
        passed_s = max(0.0, now - self._filled_at)
        self._tokens = min(self.burst, self._tokens + passed_s * self.rate_per_s)
        self._filled_at = now
        return max(0.0, 1.0 - self._tokens) / self.rate_per_s
