"""The report of a calibration: what was proved, and plots to see whether to believe it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import numpy as np

from moderation.adapters.pages.page import Heading, Paragraph, Part, Plot, Rows, page
from moderation.core.encoder import EncoderInfo
from moderation.core.reliability import precision_recall, reliability
from moderation.service.calibrate import CalibratedPolicy, probabilities

SIZE_PX = 300
BINS = 25
_HEADER = ("target", "threshold", "proved with 95 %", "errors seen")
_RELIABILITY = (
    "Reliability shows contents that the curve was not fitted to, in groups of like probability: "
    "where the bars cross the diagonal, the probability says what happens. Probabilities hold for "
    "as many violating contents as the labels have; thresholds do not depend on that share."
)


def calibration_page(outcomes: Sequence[CalibratedPolicy], encoder: EncoderInfo) -> str:
    """The report as one HTML file."""
    parts: list[Part] = [
        Paragraph(f"Encoder {encoder.name}, id {encoder.encoder_id}."),
        Paragraph(_RELIABILITY),
    ]
    for outcome in outcomes:
        parts += _section(outcome)
    return page("Calibration", parts)


def _section(outcome: CalibratedPolicy) -> Iterator[Part]:
    scores = outcome.scores
    yield Heading(outcome.policy_id)
    yield Paragraph(f"{scores.n_violating} violating and {scores.n_benign} benign contents.")
    if outcome.refusal:
        yield Paragraph(f"No calibration: {outcome.refusal}.")
    for refused in outcome.refused:
        yield Paragraph(f"Refused: {refused}.")
    if outcome.calibration is None or outcome.fitted is None:
        return
    losses = ", ".join(f"{name} {loss:.4f}" for name, loss in outcome.fitted.log_loss.items())
    method = outcome.calibration.method
    yield Paragraph(f"Curve: {method}. Log loss on contents not fitted to: {losses}.")
    if outcome.calibration.solved:
        yield Rows(_HEADER, tuple(_proofs(outcome)))
    yield _reliability_plot(outcome)
    yield _precision_recall_plot(outcome)
    yield _histogram(outcome)


def _proofs(outcome: CalibratedPolicy) -> Iterator[tuple[str, ...]]:
    for solved in outcome.calibration.solved if outcome.calibration else ():
        errors = f"{solved.errors} of {solved.count}"
        yield str(solved.target), f"{solved.threshold:.6f}", f"{solved.bound:.4f}", errors


def _reliability_plot(outcome: CalibratedPolicy) -> Plot:
    assert outcome.fitted is not None
    bins = reliability(outcome.fitted.held_out, outcome.scores.is_violating)
    data = _data([asdict(one) for one in bins])
    x = alt.X("mean_probability:Q", title="probability", scale=alt.Scale(domain=[0, 1]))
    bars = (
        alt.Chart(data)
        .mark_rule()
        .encode(
            x=x,
            y=alt.Y("low:Q", title="share that violates", scale=alt.Scale(domain=[0, 1])),
            y2="high:Q",
        )
    )
    points = (
        alt.Chart(data)
        .mark_point(filled=True, size=60)
        .encode(
            x=x,
            y="share_violating:Q",
            tooltip=["count:Q", "mean_probability:Q", "share_violating:Q"],
        )
    )
    diagonal = (
        alt.Chart(_data([{"x": 0, "y": 0}, {"x": 1, "y": 1}]))
        .mark_line(color="#999", strokeDash=[4, 4])
        .encode(x="x:Q", y="y:Q")
    )
    return _sized(diagonal + bars + points, "Reliability, with 95 % intervals")


def _precision_recall_plot(outcome: CalibratedPolicy) -> Plot:
    curve = precision_recall(outcome.scores.raw, outcome.scores.is_violating)
    chart = (
        alt.Chart(_data([asdict(one) for one in curve]))
        .mark_line(point=True)
        .encode(
            x=alt.X("recall:Q", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("precision:Q", scale=alt.Scale(domain=[0, 1])),
            order="score:Q",
            tooltip=["score:Q", "precision:Q", "recall:Q"],
        )
    )
    return _sized(chart, "Precision and recall over all cuts")


def _histogram(outcome: CalibratedPolicy) -> Plot:
    assert outcome.calibration is not None
    chances = probabilities(outcome.calibration.fit, outcome.scores.raw)
    edges = np.linspace(0.0, 1.0, BINS + 1)
    rows: list[Mapping[str, Any]] = []
    for answer in (False, True):
        counts, _ = np.histogram(chances[outcome.scores.is_violating == answer], edges)
        kind = "violating" if answer else "benign"
        rows += [
            {
                "from": float(low),
                "to": float(high),
                "ground": 0,
                "contents": int(count),
                "label": kind,
            }
            for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
        ]
    bars = (
        alt.Chart(_data(rows))
        .mark_bar(opacity=0.6)
        .encode(
            x=alt.X("from:Q", title="probability", scale=alt.Scale(domain=[0, 1])),
            x2="to:Q",
            y=alt.Y("contents:Q", title="contents", stack=None, scale=alt.Scale(type="symlog")),
            y2="ground:Q",
            color="label:N",
        )
    )
    solved = [
        {"at": one.threshold, "target": str(one.target)} for one in outcome.calibration.solved
    ]
    cuts = alt.Chart(_data(solved)).mark_rule(strokeWidth=2).encode(x="at:Q", tooltip="target:N")
    return _sized(bars + cuts, "Probabilities, and the thresholds")


def _sized(chart: Plot, title: str) -> Plot:
    return chart.properties(width=SIZE_PX, height=SIZE_PX, title=title)


def _data(rows: Sequence[Mapping[str, Any]]) -> alt.Data:
    return alt.Data(values=list(rows))
