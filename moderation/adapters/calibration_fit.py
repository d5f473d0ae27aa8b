"""Fits curves from raw score to probability with scikit-learn, chosen by cross-validation.

Platt: a logistic curve fitted to targets that are pulled in from 0 and 1 (Platt 1999),
which keeps it finite where the answers separate perfectly. The loss is convex; a Newton
method finds its one minimum, as Lin, Lin and Weng (2007) advise.

Isotonic: the best line that never falls (Zadrozny and Elkan 2002), on the same targets.
Each flat step is drawn together into a point at its mean (Oron and Flournoy 2017), so that
contents of different raw score keep different probabilities, and their ranks.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from moderation.core.calibration import Calibration, Fit, IsotonicCalibration
from moderation.core.labels import LabelledScores
from moderation.service.calibrate import Fitted, Method, NotFitted, probabilities

PARTS = 5
SEED = 0
"""Of the division into parts: the same labels give the same calibration."""
LEAST_CHANCE = 1e-6
"""A probability nearer to 0 or 1 counts as this in the log loss."""
DECIMALS = 9
"""Of an isotonic level: two that differ by rounding errors are one."""

_FALLING = (
    "the raw score does not rise with the answers; look at the labels, or at the policy's phrases"
)


class CrossValidatedFitter:
    """Fulfils the CurveFitter port."""

    def fit(self, scores: LabelledScores, method: Method) -> Fitted:
        """See CurveFitter; needs five contents of each answer."""
        methods = tuple(_FITS) if method is Method.AUTO else (method,)
        held_out = {one: _held_out(scores, _FITS[one]) for one in methods}
        losses = {one: _log_losses(held_out[one], scores.is_violating) for one in methods}
        chosen = _chosen(losses)
        return Fitted(
            fit=_FITS[chosen](scores),
            held_out=held_out[chosen],
            log_loss={one.value: float(losses[one].mean()) for one in methods},
        )


def _chosen(losses: Mapping[Method, NDArray[np.float64]]) -> Method:
    """The simpler curve, unless the other one is better by more than a standard error."""
    simple, *others = losses
    for other in others:
        gain = losses[simple] - losses[other]
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            return other
    return simple


def _held_out(scores: LabelledScores, fit: Callable[[LabelledScores], Fit]) -> NDArray[np.float64]:
    chances = np.zeros_like(scores.raw)
    folds = StratifiedKFold(PARTS, shuffle=True, random_state=SEED)
    for seen, unseen in folds.split(scores.raw[:, None], scores.is_violating):
        fitted = fit(LabelledScores(scores.raw[seen], scores.is_violating[seen]))
        chances[unseen] = probabilities(fitted, scores.raw[unseen])
    return chances


def _log_losses(
    chances: NDArray[np.float64], is_violating: NDArray[np.bool_]
) -> NDArray[np.float64]:
    of_truth = np.where(is_violating, chances, 1.0 - chances)
    return np.asarray(-np.log(np.clip(of_truth, LEAST_CHANCE, 1.0)), dtype=np.float64)


def _platt(scores: LabelledScores) -> Calibration:
    centre, spread = float(scores.raw.mean()), float(scores.raw.std())
    if spread == 0.0:
        raise NotFitted(_FALLING)
    targets = _targets(scores)
    standard = ((scores.raw - centre) / spread)[:, None]
    # A target between 0 and 1 is both answers, each with its share as weight.
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-8).fit(
        np.concatenate([standard, standard]),
        np.repeat([1, 0], len(standard)),
        sample_weight=np.concatenate([targets, 1.0 - targets]),
    )
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    if slope <= 0.0:
        raise NotFitted(_FALLING)
    return Calibration(bias=centre - offset * spread / slope, temperature=spread / slope)


def _isotonic(scores: LabelledScores) -> IsotonicCalibration:
    model = IsotonicRegression().fit(scores.raw, _targets(scores))
    fitted = np.round(model.predict(scores.raw), DECIMALS)
    levels, step = np.unique(fitted, return_inverse=True)
    if len(levels) < 2:
        raise NotFitted(_FALLING)
    centres = np.bincount(step, weights=scores.raw) / np.bincount(step)
    # Beyond the data the line goes on, halfway to certainty within the data's own range.
    reach = float(np.ptp(scores.raw))
    raw = [scores.raw.min() - reach, *centres, scores.raw.max() + reach]
    chances = [levels[0] / 2, *levels, (1.0 + levels[-1]) / 2]
    return IsotonicCalibration(
        tuple((float(x), float(y)) for x, y in zip(raw, chances, strict=True))
    )


def _targets(scores: LabelledScores) -> NDArray[np.float64]:
    """Platt's: what (n + 1) / (n + 2) of n equal answers would say, not certainty."""
    yes = (scores.n_violating + 1) / (scores.n_violating + 2)
    no = 1 / (scores.n_benign + 2)
    return np.where(scores.is_violating, yes, no)


_FITS: Mapping[Method, Callable[[LabelledScores], Fit]] = {
    Method.PLATT: _platt,
    Method.ISOTONIC: _isotonic,
}
"""From simple to less simple."""
