"""Calibrations: what can be built, and which target finds its threshold."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

from moderation.core.calibration import (
    Calibration,
    IsotonicCalibration,
    Origin,
    SolvedThreshold,
    TargetKind,
    ThresholdTarget,
)
from tests.builders import a_calibration

LOW_FPR = ThresholdTarget(TargetKind.MAX_FPR, 0.005)
HIGH_RECALL = ThresholdTarget(TargetKind.MIN_RECALL, 0.95)
LINE = IsotonicCalibration(((-1.0, 0.0), (2.0, 0.5), (3.0, 1.0)))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, nan])
def test_a_rate_that_no_sample_can_prove_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        ThresholdTarget(TargetKind.MAX_FPR, rate)


def test_a_target_is_the_same_wherever_it_is_written() -> None:
    here = ThresholdTarget(TargetKind.MAX_FPR, 0.005, Origin("policies/x.yaml", 6, 13))

    assert here == LOW_FPR
    assert here.is_same(LOW_FPR)
    assert str(here) == "max_fpr: 0.005"


def test_a_target_finds_the_threshold_that_was_solved_for_it_and_no_other() -> None:
    solved = (SolvedThreshold(LOW_FPR, 0.83, 0.0049, 2, 1200),)
    calibration = a_calibration(solved=solved)

    assert calibration.threshold_for(ThresholdTarget(TargetKind.MAX_FPR, 0.1 * 0.05)) == 0.83
    assert calibration.threshold_for(ThresholdTarget(TargetKind.MAX_FPR, 0.01)) is None
    assert calibration.threshold_for(ThresholdTarget(TargetKind.MIN_RECALL, 0.005)) is None


@pytest.mark.parametrize(("fit", "method"), [(Calibration(0, 1), "platt"), (LINE, "isotonic")])
def test_a_calibration_names_its_method(fit: Any, method: str) -> None:  # noqa: ANN401 - a fit
    assert a_calibration(fit=fit).method == method


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SolvedThreshold(LOW_FPR, 1.1, 0.004, 0, 9), "between 0 and 1"),
        (lambda: SolvedThreshold(LOW_FPR, 0.5, -0.1, 0, 9), "between 0 and 1"),
        (lambda: SolvedThreshold(LOW_FPR, 0.5, 0.004, 10, 9), "10 errors of 9"),
        (lambda: SolvedThreshold(LOW_FPR, 0.5, 0.004, -1, 9), "-1 errors of 9"),
        (lambda: SolvedThreshold(LOW_FPR, 0.5, 0.006, 0, 9), "does not fulfil max_fpr: 0.005"),
        (lambda: SolvedThreshold(HIGH_RECALL, 0.5, 0.9, 0, 9), "does not fulfil min_recall: 0.95"),
        (lambda: IsotonicCalibration(((0.0, 0.5),)), "two or more"),
        (lambda: IsotonicCalibration(((0.0, 0.5), (inf, 0.6))), "finite"),
        (lambda: IsotonicCalibration(((0.0, 0.5), (0.0, 0.6))), "must rise"),
        (lambda: IsotonicCalibration(((0.0, 0.5), (1.0, 0.4))), "must rise"),
        (lambda: IsotonicCalibration(((0.0, -0.1), (1.0, 0.4))), "between 0 and 1"),
        (lambda: IsotonicCalibration(((0.0, 0.1), (1.0, 1.4))), "between 0 and 1"),
    ],
)
def test_numbers_that_no_fit_can_give_are_refused(
    build: Callable[[], object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_recall_that_is_proved_is_taken() -> None:
    assert SolvedThreshold(HIGH_RECALL, 0.2, 0.96, 0, 90).bound == 0.96
