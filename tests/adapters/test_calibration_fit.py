"""Curves are as good as the truth allows, always rise, and the better kind is chosen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.calibration_fit import CrossValidatedFitter
from moderation.core.bounds import interval
from moderation.core.calibration import (
    Calibration,
    IsotonicCalibration,
    TargetKind,
    ThresholdTarget,
)
from moderation.core.labels import LabelledScores
from moderation.service.calibrate import Method, NotFitted, calibrate, probabilities
from tests.synthetic import (
    BENIGN,
    VIOLATING,
    a_sample,
    a_scorer,
    shares_by_rank,
    true_share_reaching,
)

BOTH = [Method.PLATT, Method.ISOTONIC]


def logistic(size: int, *, bias: float, temperature: float, seed: int = 1) -> LabelledScores:
    """Answers drawn with the probabilities of a known logistic curve."""
    generator = np.random.default_rng(seed)
    raw = generator.normal(bias, 3 * temperature, size)
    chance = 1 / (1 + np.exp(-(raw - bias) / temperature))
    return LabelledScores(raw, generator.uniform(size=size) < chance)


def staircase(size: int, seed: int = 1) -> LabelledScores:
    """Answers that depend on the score in two steps, as no logistic curve does."""
    generator = np.random.default_rng(seed)
    raw = generator.uniform(0, 3, size)
    chance = np.array([0.02, 0.5, 0.98])[raw.astype(int)]
    return LabelledScores(raw, generator.uniform(size=size) < chance)


def test_a_logistic_truth_is_found_again() -> None:
    scores = logistic(20_000, bias=7.0, temperature=0.5)

    fitted = CrossValidatedFitter().fit(scores, Method.PLATT)

    assert isinstance(fitted.fit, Calibration)
    assert fitted.fit.bias == pytest.approx(7.0, abs=0.03)
    assert fitted.fit.temperature == pytest.approx(0.5, abs=0.03)


def test_the_likeliest_curve_is_found_whatever_the_scale_of_the_scores() -> None:
    """Smoothed targets lead to one minimum, at which the residuals are balanced."""
    scores = logistic(300, bias=-4000.0, temperature=0.001)
    yes, no = (scores.n_violating + 1) / (scores.n_violating + 2), 1 / (scores.n_benign + 2)
    targets = np.where(scores.is_violating, yes, no)

    fitted = CrossValidatedFitter().fit(scores, Method.PLATT)

    residuals = probabilities(fitted.fit, scores.raw) - targets
    standard = (scores.raw - scores.raw.mean()) / scores.raw.std()
    assert residuals.mean() == pytest.approx(0.0, abs=1e-6)
    assert (residuals * standard).mean() == pytest.approx(0.0, abs=1e-6)


def test_a_truth_in_steps_is_found_again() -> None:
    fitted = CrossValidatedFitter().fit(staircase(20_000), Method.ISOTONIC)

    middles = probabilities(fitted.fit, np.array([0.5, 1.5, 2.5]))
    np.testing.assert_allclose(middles, [0.02, 0.5, 0.98], atol=0.03)


def test_the_better_kind_is_chosen_by_contents_that_it_had_not_seen() -> None:
    smooth = CrossValidatedFitter().fit(logistic(2000, bias=1, temperature=1), Method.AUTO)
    stepped = CrossValidatedFitter().fit(staircase(2000), Method.AUTO)

    assert isinstance(smooth.fit, Calibration)
    assert isinstance(stepped.fit, IsotonicCalibration)
    assert stepped.log_loss["isotonic"] < stepped.log_loss["platt"]


@pytest.mark.parametrize("method", BOTH)
def test_answers_that_separate_perfectly_do_not_become_certainties(method: Method) -> None:
    raw = np.concatenate([np.linspace(0, 1, 50), np.linspace(5, 6, 50)])
    scores = LabelledScores(raw, np.arange(100) >= 50)

    fitted = CrossValidatedFitter().fit(scores, method)

    chances = probabilities(fitted.fit, raw)
    assert 0.0 < chances.min() < 0.05
    assert 0.95 < chances.max() < 1.0


@pytest.mark.parametrize("method", [*BOTH, Method.AUTO])
@pytest.mark.parametrize("raw", [np.linspace(1, 0, 40), np.ones(40)], ids=["falling", "equal"])
def test_scores_that_do_not_rise_with_the_answers_are_refused(
    method: Method, raw: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> None:
    with pytest.raises(NotFitted, match="does not rise"):
        CrossValidatedFitter().fit(LabelledScores(raw, np.arange(40) >= 20), method)


@pytest.mark.parametrize("method", BOTH)
@given(st.integers(0, 2**32 - 1), st.integers(10, 80), st.integers(10, 80), st.booleans())
def test_a_curve_keeps_the_order_of_the_labelled_scores(
    method: Method, seed: int, benign: int, violating: int, has_ties: bool
) -> None:
    generator = np.random.default_rng(seed)
    raw = np.concatenate([generator.normal(0, 1, benign), generator.normal(3, 2, violating)])
    raw = np.round(raw, 1) if has_ties else raw
    scores = LabelledScores(raw, np.arange(len(raw)) >= benign)

    fitted = CrossValidatedFitter().fit(scores, method)

    different = np.unique(raw)
    assert np.all(np.diff(probabilities(fitted.fit, different)) > 0)
    assert np.all((fitted.held_out > 0) & (fitted.held_out < 1))


def test_the_same_labels_give_the_same_calibration() -> None:
    scores = staircase(400)

    first, second = (CrossValidatedFitter().fit(scores, Method.AUTO) for _ in range(2))

    assert first.fit == second.fit


@pytest.mark.parametrize("method", BOTH)
def test_a_threshold_does_no_worse_than_the_rank_that_it_was_placed_at(method: Method) -> None:
    """So the promise is that of the ranks, which `core.bounds` proves, in every single sample."""
    scorer = a_scorer()
    targets = [
        ThresholdTarget(TargetKind.MAX_FPR, 0.02),
        ThresholdTarget(TargetKind.MIN_RECALL, 0.9),
    ]

    for seed in range(15):
        sample = a_sample(np.random.default_rng(seed), benign=400, violating=120)
        scores = scorer.scores_of(sample.labels, sample.seen)
        (outcome,) = calibrate(
            scorer, scores, CrossValidatedFitter(), method=method, targets=targets
        )
        assert outcome.calibration is not None
        fit = outcome.calibration.fit
        fpr, recall = outcome.calibration.solved
        above, below = shares_by_rank(outcome.scores, 0.02, 1 - 0.9)
        assert true_share_reaching(fpr.threshold, fit, BENIGN) <= above + 1e-9
        assert true_share_reaching(recall.threshold, fit, VIOLATING) >= below - 1e-9


@pytest.mark.slow
def test_the_promised_rates_hold_in_the_truth_as_often_as_promised() -> None:
    """The whole way: embeddings, raw scores, the better curve, thresholds, the truth."""
    scorer, generator = a_scorer(), np.random.default_rng(4)
    targets = [
        ThresholdTarget(TargetKind.MAX_FPR, 0.01),
        ThresholdTarget(TargetKind.MIN_RECALL, 0.9),
    ]

    kept_fpr = kept_recall = 0
    for _ in range(200):
        sample = a_sample(generator, benign=1000, violating=150)
        scores = scorer.scores_of(sample.labels, sample.seen)
        (outcome,) = calibrate(scorer, scores, CrossValidatedFitter(), targets=targets)
        assert outcome.calibration is not None
        fit = outcome.calibration.fit
        fpr, recall = outcome.calibration.solved
        kept_fpr += true_share_reaching(fpr.threshold, fit, BENIGN) <= 0.01
        kept_recall += true_share_reaching(recall.threshold, fit, VIOLATING) >= 0.9

    assert min(kept_fpr, kept_recall) >= 190, (
        interval(kept_fpr, 200),
        interval(kept_recall, 200),
    )
