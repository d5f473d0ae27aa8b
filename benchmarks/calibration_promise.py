"""How often calibrated thresholds keep their promise, on contents whose truth is known.

    python -m benchmarks.calibration_promise [repetitions [benign violating]]

The whole way is taken: embeddings, raw scores, the curve chosen by cross-validation,
thresholds. The true rate at each threshold follows from the distribution that the
embeddings were made from. Beside it are measured how often the whole way did worse than
the rank that a threshold was placed at, which must never be, and a quantile of the
labelled scores. Without counts, four samples are tried.
"""

import math
import sys
from collections import Counter

import numpy as np

from moderation.adapters.calibration_fit import CrossValidatedFitter
from moderation.core.bounds import errors_allowed, interval
from moderation.core.calibration import SolvedThreshold, TargetKind, ThresholdTarget
from moderation.service.calibrate import calibrate, probabilities
from tests.synthetic import (
    BENIGN,
    VIOLATING,
    a_sample,
    a_scorer,
    shares_by_rank,
    true_share_reaching,
)

REPETITIONS = 200
COUNTS = ((299, 59), (500, 150), (1000, 400), (3000, 1000))
FPR, RECALL = 0.01, 0.95
ROUNDING = 1e-9
"""Of a share: a threshold's raw score is found by halving."""
TARGETS = (
    ThresholdTarget(TargetKind.MAX_FPR, FPR),
    ThresholdTarget(TargetKind.MIN_RECALL, RECALL),
)


def main() -> None:
    """Print a table of counts kept, with 95 % intervals."""
    repetitions, *counts = map(int, sys.argv[1:] or [str(REPETITIONS)])
    print(f"{repetitions} repetitions; kept, and the 95 % interval of how often it is kept")
    for benign, violating in [tuple(counts)] if counts else COUNTS:
        kept = _kept(benign, violating, repetitions)
        print(f"{benign} benign, {violating} violating contents")
        print(f"  max_fpr {FPR}: {_shown(kept['fpr'], repetitions)}  {_theory(benign, FPR)}")
        recall = _theory(violating, 1 - RECALL)
        print(f"  min_recall {RECALL}: {_shown(kept['recall'], repetitions)}  {recall}")
        print(f"  worse than the rank: {kept['worse']} of {2 * repetitions}")
        print(f"  a quantile in place of max_fpr: {_shown(kept['quantile'], repetitions)}")
        print(f"  isotonic curves: {kept['isotonic']} of {repetitions}")


def _kept(benign: int, violating: int, repetitions: int) -> Counter[str]:
    scorer, generator = a_scorer(), np.random.default_rng(benign)
    kept: Counter[str] = Counter()
    for _ in range(repetitions):
        sample = a_sample(generator, benign=benign, violating=violating)
        scores = scorer.scores_of(sample.labels, sample.seen)
        (outcome,) = calibrate(scorer, scores, CrossValidatedFitter(), targets=TARGETS)
        assert outcome.calibration is not None
        fit = outcome.calibration.fit
        fpr, recall = outcome.calibration.solved
        assert isinstance(fpr, SolvedThreshold)
        assert isinstance(recall, SolvedThreshold)
        false = true_share_reaching(fpr.threshold, fit, BENIGN)
        found = true_share_reaching(recall.threshold, fit, VIOLATING)
        kept["fpr"] += false <= FPR
        kept["recall"] += found >= RECALL
        above, below = shares_by_rank(outcome.scores, FPR, 1 - RECALL)
        kept["worse"] += (false > above + ROUNDING) + (found < below - ROUNDING)
        chances = probabilities(fit, outcome.scores.raw[~outcome.scores.is_violating])
        naive = float(np.quantile(chances, 1 - FPR))
        kept["quantile"] += true_share_reaching(naive, fit, BENIGN) <= FPR
        kept["isotonic"] += outcome.calibration.method == "isotonic"
    return kept


def _shown(kept: int, repetitions: int) -> str:
    low, high = interval(kept, repetitions)
    return f"{kept} of {repetitions} ({low:.3f} to {high:.3f})"


def _theory(count: int, rate: float) -> str:
    allowed = errors_allowed(count, rate)
    assert allowed is not None
    chances = (
        math.comb(count, i) * rate**i * (1 - rate) ** (count - i) for i in range(allowed + 1)
    )
    return f"in theory {1 - sum(chances):.3f}, with {allowed} errors allowed"


if __name__ == "__main__":
    main()
