"""The report of a calibration shows what was proved, what was refused, and three plots."""

import json
import re
from html import unescape
from typing import Any

import numpy as np

from moderation.adapters.calibration_fit import CrossValidatedFitter
from moderation.adapters.pages.calibration import calibration_page
from moderation.core.calibration import TargetKind, ThresholdTarget
from moderation.service.calibrate import CalibratedPolicy, calibrate
from tests.builders import an_encoder_info
from tests.synthetic import a_sample, a_scorer

TARGETS = (ThresholdTarget(TargetKind.MAX_FPR, 0.05), ThresholdTarget(TargetKind.MIN_RECALL, 0.99))


def outcomes(*, benign: int, violating: int) -> tuple[CalibratedPolicy, ...]:
    scorer = a_scorer()
    sample = a_sample(np.random.default_rng(1), benign=benign, violating=violating)
    scores = scorer.scores_of(sample.labels, sample.seen)
    return calibrate(scorer, scores, CrossValidatedFitter(), targets=TARGETS)


def plots_of(html: str) -> list[dict[str, Any]]:
    return [json.loads(unescape(spec)) for spec in re.findall(r'data-spec="([^"]*)"', html)]


def test_proofs_refusals_and_plots_are_shown() -> None:
    (outcome,) = outcomes(benign=200, violating=100)

    html = calibration_page([outcome], an_encoder_info())

    assert outcome.calibration is not None
    (solved,) = outcome.calibration.solved
    assert f"<td>{solved.threshold:.6f}</td><td>{solved.bound:.4f}</td>" in html
    assert "min_recall: 0.99 needs at least 299 violating contents; got 100" in html
    assert "fake-encoder" in html
    titles = [plot["title"].split(",")[0] for plot in plots_of(html)]
    assert titles == ["Reliability", "Precision and recall over all cuts", "Probabilities"]


def test_the_histograms_count_every_content() -> None:
    *_, histogram = plots_of(
        calibration_page(outcomes(benign=200, violating=100), an_encoder_info())
    )

    counted = {"benign": 0, "violating": 0}
    for layer in histogram["layer"]:
        for row in layer.get("data", {}).get("values", []):
            counted[row.get("label", "benign")] += row.get("contents", 0)
    assert counted == {"benign": 200, "violating": 100}


def test_a_policy_without_a_calibration_says_why() -> None:
    html = calibration_page(outcomes(benign=200, violating=3), an_encoder_info())

    assert "No calibration: needs at least 10 contents of each answer; got 3 violating." in html
    assert plots_of(html) == []
