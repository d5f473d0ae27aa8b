"""The effect of a change equals what moderating every content under both sets would give."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moderation.core.aggregation import AGGREGATIONS
from moderation.core.calibration import Calibration, IsotonicCalibration
from moderation.core.corpus import Corpus
from moderation.core.decision import Options, decide
from moderation.core.decision import Outcome as CoreOutcome
from moderation.core.policy import Action, Mode, Phrase, PolicySet, Profile, Thresholds
from moderation.core.policy_effect import CONTENT, MOST_MOVED, Tally, effects, merged
from moderation.core.policy_plan import Plan, Side, to_rescore
from moderation.core.policy_tally import MAX_RECHECKED, tally
from moderation.core.rescoring import ROUNDING, Rescoring, rescore, rounding_of
from moderation.core.scoring import CompiledPolicies, compile_policies, score
from tests.builders import SCALE, a_policy, a_policy_set, compiled
from tests.fakes import embedding_of

SHARPER = replace(SCALE, scale=3.0, default=Calibration(0.3, 0.2))
THINGS = ("a gun", "a rifle", "a knife", "a kitten", "a drill", "a cup")


def a_corpus(contents: int, *, seed: int = 0) -> Corpus:
    """Contents of one to three frames, near the things or between two of them."""
    random = np.random.default_rng(seed)

    def frame() -> np.ndarray:
        towards = random.choice(THINGS, 2, replace=False)
        mixed = sum(random.uniform(0.2, 1.0) * embedding_of(str(one)) for one in towards)
        return np.asarray(mixed / np.linalg.norm(mixed), dtype=np.float32)

    frames = [np.stack([frame() for _ in range(random.integers(1, 4))]) for _ in range(contents)]
    return Corpus.from_contents([(f"c{n}", one) for n, one in enumerate(frames)], dim=64)


def planned(old: PolicySet, new: PolicySet, profile: str = "") -> Plan:
    before, after = (Side.of(compiled(one, scale=SHARPER), profile) for one in (old, new))
    changed = to_rescore(before, after)
    rescored = compiled(PolicySet(changed), scale=SHARPER) if changed else None
    return Plan.of(before, after, rescored)


Outcome = tuple[Action, dict[str, Action]]


def _decided(side: Side, corpus: Corpus, n: int, options: Options) -> CoreOutcome:
    scores = score(corpus.frames_of(n), side.compiled)
    content_id = corpus.content_ids[n]
    return decide(scores, side.compiled, side.cuts, options, content_id=content_id)


def moderated(side: Side, corpus: Corpus, profile: str) -> list[Outcome]:
    """What the service itself decides on each content: as a whole, and by each policy."""
    options = Options(profile=profile, include_all_verdicts=True)
    outcomes = [_decided(side, corpus, n, options) for n in range(len(corpus))]
    return [
        (one.action, {verdict.policy.id: verdict.action for verdict in one.verdicts})
        for one in outcomes
    ]


def expected_flips(before: list[Outcome], after: list[Outcome]) -> set[tuple[int, str, int, int]]:
    flips = set()
    for content, ((was, by_was), (will, by_will)) in enumerate(zip(before, after, strict=True)):
        flips |= {(content, "", int(was), int(will))} if was != will else set()
        for policy_id in by_was.keys() | by_will.keys():
            one, other = (by.get(policy_id, Action.ALLOW) for by in (by_was, by_will))
            flips |= {(content, policy_id, int(one), int(other))} if one != other else set()
    return flips


def found_flips(plan: Plan, found: Tally) -> set[tuple[int, str, int, int]]:
    ids = [*plan.policy_ids, ""]  # CONTENT is -1
    rows = zip(
        found.flips.content.tolist(),
        found.flips.policy.tolist(),
        found.flips.before.tolist(),
        found.flips.after.tolist(),
        strict=True,
    )
    return {(content, ids[policy], was, will) for content, policy, was, will in rows}


cuts = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(
    lambda pair: Thresholds(min(pair), max(pair))
)
phrases = st.lists(
    st.builds(Phrase, st.sampled_from(THINGS), st.sampled_from([0.3, 0.8, 1.0])),
    min_size=1,
    max_size=4,
    unique_by=lambda phrase: phrase.text,
).map(tuple)


MODES: list[dict[str, Any]] = [
    {"mode": Mode.OFF},
    {"mode": Mode.SHADOW},
    {"mode": Mode.ENFORCE},
    {"mode": Mode.ENFORCE},
    {"mode": Mode.ENFORCE, "canary": 0.4},
]


@st.composite
def policy_sets(draw: st.DrawFn, ids: Sequence[str] = ("a", "b", "c", "d")) -> PolicySet:
    chosen = draw(st.lists(st.sampled_from(ids), min_size=1, unique=True))
    policies = [
        replace(
            a_policy(policy_id),
            phrases=draw(phrases),
            contrast=draw(st.one_of(st.just(()), phrases)),
            thresholds=draw(cuts),
            aggregation=draw(st.sampled_from(sorted(AGGREGATIONS))),
            **draw(st.sampled_from(MODES)),
        )
        for policy_id in chosen
    ]
    if all(policy.mode is Mode.OFF for policy in policies):
        policies[0] = replace(policies[0], mode=Mode.ENFORCE)
    selected = draw(st.one_of(st.none(), st.frozensets(st.sampled_from(chosen), min_size=1)))
    audited = draw(st.sampled_from([0.0, 0.3]))
    kids = Profile("kids", selected, {chosen[0]: draw(cuts)}, audit_share=audited)
    return a_policy_set(*policies, profiles=[kids])


@given(policy_sets(), policy_sets(), st.sampled_from(["default", "kids"]), st.integers(0, 99))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_flips_are_those_of_moderating_under_both_sets_item_by_item(
    old: PolicySet, new: PolicySet, profile: str, seed: int
) -> None:
    corpus = a_corpus(25, seed=seed)
    plan = planned(old, new, profile)

    found = merged(
        tally(plan, corpus.part(first, stop), offset=first) for first, stop in corpus.chunks(10)
    )

    before = moderated(plan.old.side, corpus, profile)
    after = moderated(plan.new.side, corpus, profile)
    assert found_flips(plan, found) == expected_flips(before, after)
    for (was, _), (will, _) in zip(before, after, strict=True):
        found.actions[was - 1, will - 1] -= 1
    assert not found.actions.any()


def test_flips_hold_where_a_threshold_is_the_very_score_of_a_content() -> None:
    corpus = a_corpus(200)
    old = a_policy_set(a_policy(phrases=THINGS[:3], contrast=THINGS[3:5], block=None))
    exact = compiled(old, scale=SHARPER)
    scores = [float(score(corpus.frames_of(n), exact).score[0]) for n in range(len(corpus))]

    rechecked = 0
    for cut in scores:
        new = replace(old.policies[0], thresholds=Thresholds(cut, None))
        plan = planned(old, a_policy_set(new))
        found = tally(plan, corpus)
        rechecked += found.rechecked

        flagged = sum(one >= cut for one in scores)
        assert effects(plan, found)[0].flagged_after.count == flagged
    assert rechecked >= len(scores)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_rescoring_many_differs_from_scoring_one_by_less_than_is_allowed_for(
    aggregation: str,
) -> None:
    weighted = [
        Phrase(text, weight) for text, weight in zip(THINGS, (1, 0.5, 1, 1, 0.2, 1), strict=True)
    ]
    policies = a_policy_set(
        a_policy("a", phrases=THINGS, contrast=THINGS[:2], aggregation=aggregation),
        a_policy("b", phrases=weighted, aggregation=aggregation),
        a_policy("c", phrases=["a cup"], contrast=weighted, aggregation=aggregation),
    )
    ready, corpus = compiled(policies, scale=SHARPER), a_corpus(300)

    together = rescore(corpus, ready)

    alone = np.stack([score(corpus.frames_of(n), ready).score for n in range(len(corpus))])
    assert np.all(np.abs(together - alone) <= rounding_of(ready))


def test_the_rounding_allowed_for_is_well_above_what_happens_at_full_size() -> None:
    random = np.random.default_rng(3)
    matrix, rows = (random.normal(size=(n, 768)).astype(np.float32) for n in (2000, 100))
    matrix, rows = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (matrix, rows))

    together = matrix @ rows.T
    alone = np.concatenate([rows[n : n + 1] @ matrix.T for n in range(100)])

    assert np.abs(together.T - alone).max() < ROUNDING / 2


def test_many_policies_are_reduced_in_runs_without_mixing_them_up() -> None:
    texts = [f"thing {n}" for n in range(2500)]
    policies = [a_policy(f"p{n}", phrases=texts[n : n + 3]) for n in range(0, 2400, 3)]
    ready = compiled(a_policy_set(*policies))
    corpus = Corpus.from_contents(
        [(text, embedding_of(text)[None]) for text in texts[:2400:30]], dim=64
    )

    best = rescore(corpus, ready).argmax(axis=1)

    assert [ready.policies[n].id for n in best] == [f"p{n}" for n in range(0, 2400, 30)]


@given(policy_sets(), policy_sets())
@settings(max_examples=60, deadline=None)
def test_two_sets_scored_together_score_as_each_does_alone(
    first: PolicySet, second: PolicySet
) -> None:
    one, other = (compiled(policies, scale=SHARPER) for policies in (first, second))
    corpus = a_corpus(12)

    both = Rescoring.of(one, other).scores(corpus)

    for found, ready in zip(both, (one, other), strict=True):
        assert np.all(np.abs(found.T - rescore(corpus, ready)) <= rounding_of(ready))


def test_what_two_sets_share_is_multiplied_once() -> None:
    one = compiled(a_policy_set(a_policy("a", phrases=THINGS), a_policy("b", phrases=THINGS[:2])))
    other = compiled(
        a_policy_set(
            a_policy("a", phrases=[*THINGS[2:], "a dog"]), a_policy("c", phrases=["a cat"])
        )
    )

    phrases = Rescoring.of(one, other).phrases

    fresh = 2  # the dog and the cat
    assert len(phrases.matrix) == len(THINGS) + 2 + fresh


def test_two_texts_of_one_meaning_are_two_phrases() -> None:
    gun = embedding_of("a gun")
    alike = {"one": gun, "another": gun, "a third": gun, "a kitten": embedding_of("a kitten")}

    def ready(*phrases: str) -> CompiledPolicies:
        policy = a_policy("a", phrases=phrases, templates=("{}",), aggregation="top_k_mean")
        return compile_policies(
            a_policy_set(policy), encoder_id="fake", scale=SHARPER, embedding_by_text=alike
        )

    old, new = ready("one", "another", "a kitten"), ready("a third", "another", "one")

    for found, alone in zip(Rescoring.of(old, new).scores(a_corpus(20)), (old, new), strict=True):
        assert np.allclose(found.T, rescore(a_corpus(20), alone), atol=1e-6)


def test_only_what_could_have_changed_is_looked_at() -> None:
    same, moved, reworded = a_policy("a"), a_policy("b"), a_policy("c")
    old = a_policy_set(same, moved, reworded)
    new = a_policy_set(
        replace(same, title="another title"),
        replace(moved, thresholds=Thresholds(0.2, 0.8)),
        replace(reworded, phrases=(Phrase("a kitten"),)),
    )

    plan = planned(old, new)

    assert plan.touched_ids == ("b", "c")
    assert plan.rescored is not None
    assert [policy.id for policy in plan.rescored.policies] == ["c"]


def test_the_contents_whose_scores_moved_furthest_come_first() -> None:
    old, new = a_policy_set(a_policy()), a_policy_set(a_policy(phrases=["a kitten"]))
    corpus, plan = a_corpus(60), planned(old, new)

    parts = [tally(plan, corpus.part(n, n + 20), offset=n) for n in (0, 20, 40)]
    moved = merged(parts).moved

    distance = np.abs(
        rescore(corpus, plan.new.side.compiled) - rescore(corpus, plan.old.side.compiled)
    )
    furthest = np.argsort(-distance[:, 0], kind="stable")[:MOST_MOVED]
    assert moved.content.tolist() == furthest.tolist()


def test_histograms_count_every_score_once() -> None:
    old, new = a_policy_set(a_policy()), a_policy_set(a_policy(phrases=["a kitten"]))
    corpus, plan = a_corpus(60), planned(old, new)

    found = tally(plan, corpus)

    scores = rescore(corpus, plan.old.side.compiled)[:, 0]
    assert found.before[0].tolist() == np.histogram(scores, 20, (0, 1))[0].tolist()
    assert found.after.sum() == 60


def test_a_policy_that_is_new_has_no_scores_before() -> None:
    old, new = a_policy_set(a_policy("a")), a_policy_set(a_policy("a"), a_policy("b"))
    plan = planned(old, new)

    found = tally(plan, a_corpus(60))

    assert plan.touched_ids == ("b",)
    assert found.before.sum() == 0
    assert found.after.sum() == 60
    assert len(found.moved) == 0


def test_counts_are_told_by_direction() -> None:
    old = a_policy_set(a_policy(review=0.5, block=None))
    new = a_policy_set(a_policy(review=0.1, block=0.2))
    corpus, plan = a_corpus(200), planned(old, new)

    whole, by_policy = effects(plan, tally(plan, corpus))

    scores = rescore(corpus, plan.old.side.compiled)[:, 0]
    assert whole.flips.count == np.count_nonzero(scores >= 0.1)
    assert whole.stricter == whole.flips.count
    assert whole.milder == 0
    assert whole.flagged_before.count == np.sum(scores >= 0.5)
    assert whole.flagged_after.count == np.sum(scores >= 0.1)
    assert by_policy["weapons"].flips == whole.flips


def test_a_shadow_flips_its_verdicts_and_not_the_content() -> None:
    old = a_policy_set(a_policy(), a_policy("s", review=0.9, block=None, mode=Mode.SHADOW))
    new = a_policy_set(a_policy(), a_policy("s", review=0.0, mode=Mode.SHADOW))
    plan = planned(old, new)

    found = tally(plan, a_corpus(50))

    assert CONTENT not in found.flips.policy
    assert len(found.flips) > 0


def test_a_policy_is_a_shadow_as_the_new_set_has_it_or_as_it_was_until_it_went() -> None:
    old = a_policy_set(
        a_policy("a"), a_policy("b", mode=Mode.SHADOW), a_policy("c", mode=Mode.SHADOW)
    )
    new = a_policy_set(a_policy("a", mode=Mode.SHADOW), a_policy("b"), a_policy("d"))

    assert planned(old, new).shadow_ids == {"a", "c"}


def test_a_threshold_amid_a_heap_of_scores_says_how_many_it_is_unsure_of() -> None:
    one = embedding_of("a gun")[None]
    corpus = Corpus.from_contents([(f"c{n}", one) for n in range(MAX_RECHECKED + 7)], dim=64)
    exact = float(score(one, compiled(scale=SHARPER)).score[0])
    plan = planned(a_policy_set(), a_policy_set(a_policy(review=exact, block=None)))

    found = tally(plan, corpus)

    assert (found.rechecked, found.unsure) == (MAX_RECHECKED, 7)


def test_a_score_on_a_steep_rising_line_is_looked_at_more_closely() -> None:
    steep = IsotonicCalibration(((0.0, 0.0), (0.1, 0.9), (0.1001, 0.95), (1.0, 1.0)))
    flat = IsotonicCalibration(((0.0, 0.0), (1.0, 0.2)))
    policies = a_policy_set(a_policy("a"), a_policy("b"), a_policy("c"))

    ready = compiled(policies, scale=SHARPER, fits={"a": steep, "b": flat})

    assert ready.curves.steepness == pytest.approx([500.0, 0.2, 0.25 / 0.2], rel=1e-6)


def test_a_new_calibration_changes_scores_too() -> None:
    fit = IsotonicCalibration(((0.0, 0.0), (3.0, 1.0)))
    old = Side.of(compiled(a_policy_set(), scale=SHARPER), "")
    new = Side.of(compiled(a_policy_set(), scale=SHARPER, fits={"weapons": fit}), "")

    assert [policy.id for policy in to_rescore(old, new)] == ["weapons"]
