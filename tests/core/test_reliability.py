"""What the plots of a calibration show is counted right."""

import numpy as np
import pytest

from moderation.core.bounds import interval
from moderation.core.reliability import precision_recall, reliability


def test_contents_of_like_probability_stand_together() -> None:
    probabilities = np.array([0.9, 0.1, 0.8, 0.2])
    is_violating = np.array([True, False, True, True])

    low, high = reliability(probabilities, is_violating, bins=2)

    assert (low.count, low.share_violating, high.count) == (2, 0.5, 2)
    assert [low.mean_probability, high.mean_probability] == pytest.approx([0.15, 0.85])
    assert (high.share_violating, (high.low, high.high)) == (1.0, interval(2, 2))


def test_there_are_no_more_bins_than_contents() -> None:
    bins = reliability(np.array([0.1, 0.2, 0.3]), np.array([True, False, True]))

    assert [one.count for one in bins] == [1, 1, 1]


def test_honest_probabilities_lie_within_their_intervals() -> None:
    generator = np.random.default_rng(2)
    probabilities = generator.uniform(size=20_000)
    is_violating = generator.uniform(size=20_000) < probabilities

    bins = reliability(probabilities, is_violating)

    assert sum(one.low <= one.mean_probability <= one.high for one in bins) >= 9


def test_precision_and_recall_are_counted_at_every_cut() -> None:
    scores = np.array([1.0, 2.0, 2.0, 3.0])
    is_violating = np.array([False, True, False, True])

    curve = precision_recall(scores, is_violating)

    assert [(one.score, one.precision, one.recall) for one in curve] == [
        (1.0, 0.5, 1.0),
        (2.0, pytest.approx(2 / 3), 1.0),
        (3.0, 1.0, 0.5),
    ]


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    scores = np.arange(10_000, dtype=np.float64)

    curve = precision_recall(scores, scores >= 5_000)

    assert len(curve) == 200
    assert (curve[0].recall, curve[0].precision) == (1.0, 0.5)
    assert (curve[-1].score, curve[-1].precision) == (9_999.0, 1.0)
