"""What a sample proves of a rate: exact bounds, the counts they need, the cuts they allow.

A cut is placed at an order statistic. Of n independent benign scores, let X be the
k-th largest. For a continuous distribution the true share of benign contents above X
is distributed as Beta(k, n - k + 1), whatever the distribution is (Wilks 1941); for one
with ties it is stochastically smaller. So

    P(true rate <= r) >= P(Beta(k, n - k + 1) <= r) = P(Binomial(n, r) >= k)

and k is taken from n alone. The cut may therefore be chosen on the very sample that
proves it: at this cut k - 1 errors are seen, and the bound is Clopper and Pearson's
(1934) for k - 1 errors of n. Any increasing function of the scores, even one fitted to
them, leaves ranks as they are, and the promise with them.
"""

import math

import numpy as np
from numpy.typing import NDArray

RISK = 0.05
"""How often, over the draw of the sample, a promise may fail: it holds with 95 %."""
STEPS = 1_000_000
"""Cuts are told in so many steps from 0 to 1; a cut keeps one from the score that it was
placed at, because the last digits of a score differ between batch sizes and machines."""

_BISECTIONS = 60


def count_needed(rate: float, *, risk: float = RISK) -> int:
    """The least sample that proves that a rate is at most this, if no error is seen in it."""
    return math.ceil(math.log(risk) / math.log1p(-rate))


def errors_allowed(count: int, rate: float, *, risk: float = RISK) -> int | None:
    """The most errors that may be seen in a sample if it is to prove the rate; None: too small."""
    # More than the expected number of errors never proves anything.
    tail = _log_binomial_cdf(count, rate, most=math.ceil(count * rate))
    proving = int(np.searchsorted(tail, math.log(risk), side="right"))
    return proving - 1 if proving else None


def upper_bound(errors: int, count: int, *, risk: float = RISK) -> float:
    """The least rate that so few errors rule out all higher ones of (Clopper and Pearson 1934)."""
    if errors >= count:
        return 1.0
    low, high = errors / count, 1.0
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        is_ruled_out = _log_binomial_cdf(count, middle, most=errors)[-1] <= math.log(risk)
        low, high = (low, middle) if is_ruled_out else (middle, high)
    return high


def lower_bound(errors: int, count: int, *, risk: float = RISK) -> float:
    """The highest rate that so many errors rule out all lower ones of."""
    return 1.0 - upper_bound(count - errors, count, risk=risk)


def interval(errors: int, count: int, *, risk: float = RISK) -> tuple[float, float]:
    """Where the rate lies, both sides together wrong in at most `risk` of all samples."""
    half = risk / 2
    return lower_bound(errors, count, risk=half), upper_bound(errors, count, risk=half)


def cut_above(scores: NDArray[np.float64], *, errors: int) -> float | None:
    """The lowest cut in 0..1 that at most so many scores reach; None if there is none."""
    placed_at = float(np.partition(scores, -1 - errors)[-1 - errors])
    if placed_at >= 1.0:
        return None
    return min(1.0, (math.ceil(placed_at * STEPS) + 1) / STEPS)


def cut_below(scores: NDArray[np.float64], *, errors: int) -> float:
    """The highest cut in 0..1 that at most so many scores miss."""
    placed_at = float(np.partition(scores, errors)[errors])
    return max(0.0, (math.floor(placed_at * STEPS) - 1) / STEPS)


def _log_binomial_cdf(count: int, rate: float, *, most: int) -> NDArray[np.float64]:
    """Logarithm of P(Binomial(count, rate) <= i) for i from 0 to `most`."""
    i = np.arange(1, min(most, count) + 1)
    odds = math.log(rate) - math.log1p(-rate)
    steps = np.log((count - i + 1) / i) + odds
    log_mass = np.concatenate([[0.0], np.cumsum(steps)]) + count * math.log1p(-rate)
    return np.asarray(np.logaddexp.accumulate(log_mass), dtype=np.float64)
