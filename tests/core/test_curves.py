"""Curves: logistic and isotonic side by side, rising, and within 0 and 1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.calibration import Calibration, Fit, IsotonicCalibration
from moderation.core.curves import Curves

SHORT = IsotonicCalibration(((0.0, 0.1), (10.0, 0.9)))
LONG = IsotonicCalibration(((-5.0, 0.0), (0.0, 0.2), (1.0, 0.2), (4.0, 1.0)))
MIXED: list[Fit] = [SHORT, Calibration(5.0, 1.0), LONG]

raws = st.lists(st.floats(-50.0, 50.0), min_size=3, max_size=3)


def along(line: IsotonicCalibration, raw: float) -> float:
    points = np.array(line.points)
    return float(np.interp(raw, points[:, 0], points[:, 1]))


@given(raws)
def test_every_policy_follows_its_own_curve(raw: list[float]) -> None:
    scores = Curves.from_fits(MIXED).apply(np.array(raw))

    assert scores[0] == pytest.approx(along(SHORT, raw[0]))
    assert scores[1] == pytest.approx(1 / (1 + np.exp(-(raw[1] - 5.0))))
    assert scores[2] == pytest.approx(along(LONG, raw[2]))


@given(raws, st.floats(0.0, 10.0))
def test_a_higher_raw_score_never_scores_lower(raw: list[float], more: float) -> None:
    curves = Curves.from_fits(MIXED)
    lower, higher = curves.apply(np.array(raw)), curves.apply(np.array(raw) + more)

    assert np.all(higher >= lower - 1e-12)
    assert np.all((lower >= 0.0) & (higher <= 1.0))


def test_many_contents_are_scored_as_each_alone() -> None:
    raw = np.random.default_rng(7).normal(scale=5.0, size=(20, 3))
    curves = Curves.from_fits(MIXED)

    together = curves.apply(raw)

    np.testing.assert_allclose(together, [curves.apply(row) for row in raw])


def test_without_isotonic_fits_all_are_logistic() -> None:
    assert Curves.from_fits([Calibration(0.0, 1.0)]).apply(np.zeros(1)).tolist() == [0.5]
