"""From embeddings to scores: each policy on its own, monotone, bounded, never NaN."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.aggregation import AGGREGATIONS
from moderation.core.calibration import Calibration
from moderation.core.content import Embeddings
from moderation.core.errors import EncodingFailed
from moderation.core.policy import Mode, Phrase, Policy, Profile, Thresholds
from moderation.core.scoring import (
    CompiledPolicies,
    ScoreScale,
    ensemble,
    score,
    texts_to_embed,
)
from tests.builders import SCALE, a_policy, a_policy_set, compiled
from tests.fakes import FAKE_DIM, embedding_of

TEXTS = ["a gun", "a rifle", "a knife", "a toy", "a beach", "a kitten"]
AXIS = dict(zip(TEXTS, np.eye(len(TEXTS), dtype=np.float32), strict=True))
"""A direction of its own for each text: a content's coordinates are its similarities."""

similarities = st.lists(st.floats(-1.0, 1.0, width=32), min_size=len(TEXTS), max_size=len(TEXTS))
aggregations = st.sampled_from(sorted(AGGREGATIONS))

phrases = st.lists(st.sampled_from(TEXTS), min_size=1, max_size=4, unique=True)
contrasts = st.lists(st.sampled_from(TEXTS), max_size=4, unique=True)


@st.composite
def policies(draw: st.DrawFn, policy_id: str) -> Policy:
    return a_policy(
        policy_id,
        phrases=draw(phrases),
        contrast=draw(contrasts),
        aggregation=draw(aggregations),
        mode=draw(st.sampled_from([Mode.ENFORCE, Mode.SHADOW])),
    )


def a_frame(*coordinates: float) -> Embeddings:
    return np.array([coordinates], dtype=np.float32)


def compiled_on_axes(*judged: Policy, **rest: Any) -> CompiledPolicies:  # noqa: ANN401 - as compiled
    return compiled(a_policy_set(*judged), embedding_by_text=AXIS, **rest)


def score_of(policy_id: str, frames: Embeddings, policies: CompiledPolicies) -> float:
    return float(score(frames, policies).score[policies.positions[policy_id]])


@given(policies("a"), policies("b"), similarities)
def test_adding_a_policy_never_changes_another_one_s_score(
    first: Policy, second: Policy, content: list[float]
) -> None:
    frame = a_frame(*content)

    alone = score_of("a", frame, compiled_on_axes(first))
    together = score_of("a", frame, compiled_on_axes(first, second))

    assert together == pytest.approx(alone, abs=1e-6)


@given(policies("a"), policies("b"), similarities)
def test_scores_are_between_0_and_1(first: Policy, second: Policy, content: list[float]) -> None:
    scores = score(a_frame(*content), compiled_on_axes(first, second))

    assert np.all((scores.score >= 0.0) & (scores.score <= 1.0))
    assert np.all(np.isfinite(scores.raw))


@given(phrases, contrasts, aggregations, similarities, st.data())
def test_a_score_rises_with_its_phrases_and_falls_with_its_contrast(
    towards: list[str], away: list[str], aggregation: str, content: list[float], data: st.DataObject
) -> None:
    away = [text for text in away if text not in towards]
    policies = compiled_on_axes(a_policy(phrases=towards, contrast=away, aggregation=aggregation))
    before = score_of("weapons", a_frame(*content), policies)

    moved = data.draw(st.sampled_from(TEXTS))
    position = TEXTS.index(moved)
    content[position] = data.draw(st.floats(content[position], 1.0, width=32))
    change = score_of("weapons", a_frame(*content), policies) - before

    direction = (moved in towards) - (moved in away)
    assert change * direction >= -1e-5
    assert direction or change == 0.0


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_a_raw_score_is_the_scaled_margin_over_the_contrast(aggregation: str) -> None:
    policies = compiled_on_axes(
        a_policy(phrases=["a gun"], contrast=["a toy", "a beach"], aggregation=aggregation),
        scale=ScoreScale(scale=100.0, default=Calibration(bias=10.0, temperature=2.0)),
    )

    scores = score(a_frame(0.5, 0.0, 0.0, 0.3, 0.1, 0.0), policies)

    assert scores.raw == pytest.approx([100 * (0.5 - 0.2)], rel=1e-5)
    assert scores.score == pytest.approx([1 / (1 + np.exp(-(30 - 10) / 2))], rel=1e-5)


@given(st.lists(st.floats(0.125, 1.0, width=32), min_size=3, max_size=3), similarities)
def test_a_mean_is_that_of_the_similarities_by_their_weights(
    weights: list[float], content: list[float]
) -> None:
    texts = TEXTS[:3]
    policy = a_policy(
        phrases=tuple(map(Phrase, texts, weights)), contrast=["a beach"], aggregation="mean"
    )

    (raw,) = score(a_frame(*content), compiled_on_axes(policy)).raw

    expected = np.average(content[:3], weights=weights) - content[TEXTS.index("a beach")]
    assert raw == pytest.approx(SCALE.scale * expected, abs=SCALE.scale * 1e-5)


def test_the_worst_frame_of_an_animation_counts_for_each_policy() -> None:
    policies = compiled_on_axes(
        a_policy("weapons", phrases=["a gun"]), a_policy("swimwear", phrases=["a beach"])
    )
    frames = np.array([[0.9, 0, 0, 0, 0.1, 0], [0.2, 0, 0, 0, 0.8, 0]], dtype=np.float32)

    scores = score(frames, policies)

    weapons, swimwear = (policies.positions[name] for name in ("weapons", "swimwear"))
    assert scores.raw[[weapons, swimwear]] == pytest.approx([9.0, 8.0])
    assert scores.frame[[weapons, swimwear]].tolist() == [0, 1]


def test_a_calibration_replaces_the_default_for_its_policy_only() -> None:
    policies = compiled_on_axes(
        a_policy("a"), a_policy("b"), fits={"a": Calibration(bias=0.0, temperature=1.0)}
    )

    scores = score(a_frame(*np.zeros(6)), policies)

    assert scores.score[policies.positions["a"]] == 0.5
    assert scores.score[policies.positions["b"]] < 0.01
    assert policies.calibrated[policies.positions["a"]]
    assert not policies.calibrated[policies.positions["b"]]


def test_a_policy_that_is_off_is_neither_embedded_nor_scored() -> None:
    policy_set = a_policy_set(
        a_policy("weapons"), a_policy("gore", phrases=["blood"], mode=Mode.OFF)
    )

    assert texts_to_embed(policy_set) == {"a gun"}
    assert compiled(policy_set).positions == {"weapons": 0}


def test_a_phrase_is_embedded_under_every_template() -> None:
    policy = a_policy(phrases=["a {gun}"], contrast=["a toy"], templates=("{}", "a photo of {}."))

    assert texts_to_embed(a_policy_set(policy)) == {
        "a {gun}",
        "a photo of a {gun}.",
        "a toy",
        "a photo of a toy.",
    }


def test_a_phrase_s_vector_is_the_mean_over_its_templates() -> None:
    policies = compiled(
        a_policy_set(a_policy(phrases=["a gun", "a toy"], templates=("{}", "big {}")))
    )

    mean = embedding_of("a toy") + embedding_of("big a toy")
    np.testing.assert_allclose(policies.phrases.matrix[1], mean / np.linalg.norm(mean), atol=1e-6)


def test_vectors_that_cancel_out_are_refused_and_not_divided_by_zero() -> None:
    north = np.eye(1, 4, dtype=np.float32)

    with pytest.raises(EncodingFailed, match="cancel out"):
        ensemble(np.stack([np.concatenate([north, -north])]))


def test_a_text_that_was_not_embedded_is_a_bug_and_says_so() -> None:
    with pytest.raises(KeyError, match="a harpoon"):
        compiled_on_axes(a_policy(phrases=["a harpoon"]))


@given(
    before=st.lists(st.sampled_from("abcde"), min_size=1, unique=True),
    after=st.lists(st.sampled_from("abcde"), min_size=1, unique=True),
    edited=st.sets(st.sampled_from("abcde")),
    data=st.data(),
)
def test_what_is_taken_over_from_the_former_set_is_what_would_have_been_compiled(
    before: list[str], after: list[str], edited: set[str], data: st.DataObject
) -> None:
    first = {name: data.draw(policies(name)) for name in "abcde"}
    second = {name: data.draw(policies(name)) if name in edited else first[name] for name in first}
    former = compiled_on_axes(*(first[name] for name in before))
    new = [second[name] for name in after]

    taken_over = compiled_on_axes(*new, former=former)
    anew = compiled_on_axes(*new)

    for side, expected in (
        (taken_over.phrases, anew.phrases),
        (taken_over.contrast, anew.contrast),
    ):
        assert np.array_equal(side.matrix, expected.matrix)
        assert (side.phrases, side.spans) == (expected.phrases, expected.spans)


def test_what_did_not_change_needs_no_embeddings_again() -> None:
    kept, edited = a_policy("kept", phrases=["a gun"]), a_policy("new", phrases=["a toy"])
    former = compiled_on_axes(kept)

    policies = a_policy_set(kept, edited)
    new = compiled(policies, embedding_by_text={"a toy": AXIS["a toy"]}, former=former)

    assert set(new.positions) == {"kept", "new"}


def test_policies_without_contrast_stand_beside_those_with() -> None:
    policies = compiled(a_policy_set(a_policy("a"), a_policy("b", contrast=["a toy"])))

    assert policies.phrases.matrix.shape == (2, FAKE_DIM)
    assert policies.contrast.matrix.shape == (1, FAKE_DIM)
    assert set(policies.contrast.spans) == {policies.positions["b"]}


def test_a_profile_s_cuts_replace_the_policies_own() -> None:
    kids = Profile("kids", frozenset({"a"}), {"a": Thresholds(0.1, None)})
    policies = compiled(a_policy_set(a_policy("a"), a_policy("b"), profiles=[kids]))

    cuts = policies.cuts["kids"]

    assert cuts.review.tolist() == [0.1, 0.5]
    assert cuts.block.tolist() == [np.inf, 0.8]
    assert cuts.selected.tolist() == [True, False]
    assert policies.cuts["default"].selected.tolist() == [True, True]


@pytest.mark.parametrize(
    ("bias", "temperature"), [(0.0, 0.0), (0.0, -1.0), (0.0, np.inf), (np.nan, 1.0), (np.inf, 1.0)]
)
def test_a_calibration_that_turns_the_scale_around_is_refused(
    bias: float, temperature: float
) -> None:
    with pytest.raises(ValueError, match="finite"):
        Calibration(bias, temperature)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_a_scale_that_turns_similarities_around_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ScoreScale(scale, SCALE.default)


def test_an_unknown_contrast_aggregation_is_refused() -> None:
    with pytest.raises(ValueError, match="'maxx'"):
        ScoreScale(1.0, SCALE.default, contrast_aggregation="maxx")
