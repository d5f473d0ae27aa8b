"""From scores to a decision: the strictest enforced verdict, with its reasons."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.decision import (
    SHOWN_PHRASES,
    Options,
    Outcome,
    decide,
    enforced_on,
    is_audited,
)
from moderation.core.errors import InvalidRequest, UnknownName
from moderation.core.policy import Action, Mode, Policy, PolicySet, Profile, Thresholds
from moderation.core.scoring import score
from moderation.core.taxonomy import Category
from tests.builders import a_policy, a_policy_set, compiled
from tests.fakes import embedding_of

modes = st.sampled_from([Mode.ENFORCE, Mode.SHADOW])
shown = st.sampled_from(["a gun", "a knife", "a beach", "a kitten", "a sunset"])
cuts = st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)).map(sorted)

KNIVES = a_policy("knives", phrases=["a knife"])
GUNS = a_policy("guns", phrases=["a gun"])


def judge(
    policy_set: PolicySet,
    *frames: str,
    options: Options | None = None,
    content_id: str = "upload-1",
    is_starter: bool = False,
) -> Outcome:
    policies = compiled(policy_set, is_starter=is_starter)
    chosen = options or Options()
    scores = score(np.stack([embedding_of(text) for text in frames]), policies)
    cuts = policies.cuts[policy_set.profile(chosen.profile).id]
    return decide(scores, policies, cuts, chosen, content_id=content_id)


@st.composite
def policy_sets(draw: st.DrawFn) -> PolicySet:
    texts = draw(st.lists(shown, min_size=1, max_size=5, unique=True))
    return a_policy_set(*(_drawn_policy(draw, text) for text in texts))


def _drawn_policy(draw: st.DrawFn, text: str) -> Policy:
    review, block = draw(cuts)
    return a_policy(
        text.replace(" ", "-"), phrases=[text], review=review, block=block, mode=draw(modes)
    )


@given(policy_sets(), shown)
def test_the_action_is_the_strictest_of_the_enforced_verdicts(
    policy_set: PolicySet, frame: str
) -> None:
    outcome = judge(policy_set, frame, options=Options(include_all_verdicts=True))

    acting = [verdict.action for verdict in outcome.verdicts if verdict.acts]
    assert outcome.action == max(acting, default=Action.ALLOW)


@given(policy_sets(), shown)
def test_every_verdict_agrees_with_its_own_score_and_thresholds(
    policy_set: PolicySet, frame: str
) -> None:
    outcome = judge(policy_set, frame, options=Options(include_all_verdicts=True))

    assert len(outcome.verdicts) == len(policy_set.policies)
    for verdict in outcome.verdicts:
        assert verdict.action is verdict.thresholds.action_for(verdict.score)
        assert (verdict.margin >= 0) == (verdict.action > Action.ALLOW)


@given(policy_sets(), shown)
def test_the_deciding_policy_is_the_enforced_one_that_is_furthest_past_its_threshold(
    policy_set: PolicySet, frame: str
) -> None:
    outcome = judge(policy_set, frame, options=Options(include_all_verdicts=True))

    if outcome.deciding is None:
        assert outcome.action is Action.ALLOW
        return
    rivals = [v for v in outcome.verdicts if v.acts and v.action is outcome.action]
    assert outcome.deciding in rivals
    assert outcome.deciding.margin == max(verdict.margin for verdict in rivals)


@given(policy_sets(), shown)
def test_asking_for_every_verdict_does_not_change_the_decision(
    policy_set: PolicySet, frame: str
) -> None:
    few = judge(policy_set, frame)
    every = judge(policy_set, frame, options=Options(include_all_verdicts=True))

    assert (few.action, few.deciding) == (every.action, every.deciding)
    assert set(v.policy.id for v in few.verdicts) <= set(v.policy.id for v in every.verdicts)


def test_a_violation_blocks_and_names_its_policy_and_phrases() -> None:
    policy = a_policy(phrases=["a gun", "a rifle"], contrast=["a toy"])

    outcome = judge(a_policy_set(policy), "a gun")

    assert outcome.action is Action.BLOCK
    assert outcome.deciding is outcome.verdicts[0]
    assert outcome.deciding.policy.id == "weapons"
    assert [match.text for match in outcome.deciding.phrases] == ["a gun", "a rifle"]
    assert outcome.deciding.phrases[0].similarity == pytest.approx(1.0)
    assert [match.text for match in outcome.deciding.contrast] == ["a toy"]


def test_a_shadow_policy_is_recorded_and_never_acts() -> None:
    shadow = a_policy("shadow", mode=Mode.SHADOW)

    outcome = judge(a_policy_set(shadow, KNIVES), "a gun")

    assert outcome.action is Action.ALLOW
    assert outcome.deciding is None
    assert [(v.policy.id, v.action, v.acts) for v in outcome.verdicts] == [
        ("shadow", Action.BLOCK, False)
    ]


def test_shadow_policies_alone_allow_and_still_show_what_came_nearest() -> None:
    outcome = judge(a_policy_set(a_policy(mode=Mode.SHADOW)), "a kitten")

    assert outcome.action is Action.ALLOW
    assert [verdict.policy.id for verdict in outcome.verdicts] == ["weapons"]


def test_an_allow_is_explained_by_the_policy_that_came_nearest() -> None:
    far, near = a_policy("far", review=0.9, block=1.0), a_policy("near", review=0.2, block=1.0)

    outcome = judge(a_policy_set(far, near), "a kitten")

    assert outcome.action is Action.ALLOW
    assert [verdict.policy.id for verdict in outcome.verdicts] == ["near"]
    assert outcome.verdicts[0].margin < 0


def test_verdicts_are_told_from_the_strictest_to_the_mildest() -> None:
    policies = [
        a_policy("allowed", phrases=["a toy"]),
        a_policy("reviewed", block=None),
        a_policy("blocked"),
        a_policy("blocked-by-far", review=0.1, block=0.2),
    ]

    outcome = judge(a_policy_set(*policies), "a gun", options=Options(include_all_verdicts=True))

    assert [verdict.policy.id for verdict in outcome.verdicts] == [
        "blocked-by-far",
        "blocked",
        "reviewed",
        "allowed",
    ]


def test_the_worst_frame_decides_and_is_named() -> None:
    outcome = judge(a_policy_set(), "a kitten", "a gun", "a sunset")

    assert outcome.action is Action.BLOCK
    assert [verdict.frame for verdict in outcome.verdicts] == [1]


def test_at_most_three_phrases_are_shown() -> None:
    policy = a_policy(phrases=["a gun", "a rifle", "a pistol", "a cannon"])

    outcome = judge(a_policy_set(policy), "a gun")

    assert len(outcome.verdicts[0].phrases) == SHOWN_PHRASES == 3
    assert outcome.verdicts[0].phrases[0].text == "a gun"
    assert outcome.verdicts[0].contrast == ()


def test_a_profile_selects_policies_and_overrides_thresholds() -> None:
    strict = Profile("strict", frozenset({"guns"}), {"guns": Thresholds(0.0, 0.001)})
    policy_set = a_policy_set(GUNS, KNIVES, profiles=[strict])

    outcome = judge(policy_set, "a knife", options=Options("strict", include_all_verdicts=True))

    assert outcome.action is Action.BLOCK
    assert [verdict.policy.id for verdict in outcome.verdicts] == ["guns"]
    assert outcome.verdicts[0].thresholds == Thresholds(0.0, 0.001)


def test_a_profile_whose_policies_are_all_off_allows_with_no_verdict() -> None:
    off = a_policy("off", mode=Mode.OFF)
    policy_set = a_policy_set(GUNS, off, profiles=[Profile("quiet", frozenset({"off"}))])

    outcome = judge(policy_set, "a gun", options=Options("quiet"))

    assert outcome == Outcome(Action.ALLOW, None, ())


def test_a_request_is_judged_by_the_policies_that_it_names_and_no_other() -> None:
    policy_set = a_policy_set(GUNS, KNIVES)

    assert judge(policy_set, "a gun", options=Options(policy_ids=frozenset({"knives"}))).action is (
        Action.ALLOW
    )
    assert judge(policy_set, "a gun", options=Options(policy_ids=frozenset({"guns"}))).action is (
        Action.BLOCK
    )


@pytest.mark.parametrize(
    ("named", "error", "problem"),
    [
        ("gore", UnknownName, "unknown name 'gore'; known: guns, knives, off"),
        ("off", InvalidRequest, "policy 'off' is off"),
        ("knives", InvalidRequest, "policy 'knives' is not in profile 'shop'"),
    ],
)
def test_a_request_for_a_policy_that_cannot_judge_is_refused(
    named: str, error: type[InvalidRequest], problem: str
) -> None:
    shop = Profile("shop", frozenset({"guns", "off"}))
    policy_set = a_policy_set(GUNS, KNIVES, a_policy("off", mode=Mode.OFF), profiles=[shop])

    with pytest.raises(error) as caught:
        judge(policy_set, "a gun", options=Options("shop", frozenset({"guns", named})))

    assert (caught.value.field, caught.value.problem) == ("options.policy_ids", problem)


CANARY = a_policy("guns", phrases=["a gun"], canary=0.5)
ACTED_ON, LEFT_ALONE = "upload-3", "upload-5"


def test_a_canary_acts_on_its_share_of_contents_and_is_a_shadow_for_the_rest() -> None:
    policy_set = a_policy_set(CANARY)

    on = judge(policy_set, "a gun", content_id=ACTED_ON)
    off = judge(policy_set, "a gun", content_id=LEFT_ALONE)

    assert (on.action, on.verdicts[0].mode) == (Action.BLOCK, Mode.ENFORCE)
    assert (off.action, off.deciding) == (Action.ALLOW, None)
    assert (off.verdicts[0].action, off.verdicts[0].mode) == (Action.BLOCK, Mode.SHADOW)


def test_a_canary_s_share_is_met_and_the_same_content_gets_the_same_answer() -> None:
    policies = compiled(a_policy_set(CANARY, KNIVES))
    ids = [f"upload-{number}" for number in range(20_000)]

    first = [bool(enforced_on(one, policies)[policies.positions["guns"]]) for one in ids]
    again = [bool(enforced_on(one, policies)[policies.positions["guns"]]) for one in ids]

    assert sum(first) / len(ids) == pytest.approx(0.5, abs=0.01)
    assert first == again
    assert all(enforced_on(one, policies)[policies.positions["knives"]] for one in ids[:100])


def test_an_audited_content_is_reviewed_at_least_and_blamed_on_no_policy() -> None:
    policy_set = a_policy_set(GUNS, profiles=[Profile("default", audit_share=1.0)])

    harmless, harmful = judge(policy_set, "a kitten"), judge(policy_set, "a gun")

    assert (harmless.action, harmless.audited, harmless.deciding) == (Action.REVIEW, True, None)
    assert (harmful.action, harmful.audited) == (Action.BLOCK, True)


def test_the_audit_sample_is_as_large_as_it_says_and_differs_between_profiles() -> None:
    default, kids = Profile(audit_share=0.1), Profile("kids", audit_share=0.1)
    ids = [f"upload-{number}" for number in range(20_000)]

    audited = [{one for one in ids if is_audited(one, profile)} for profile in (default, kids)]

    assert len(audited[0]) / len(ids) == pytest.approx(0.1, abs=0.01)
    assert len(audited[0] & audited[1]) / len(ids) == pytest.approx(0.01, abs=0.005)
    assert not any(is_audited(one, Profile()) for one in ids[:100])


def test_a_verdict_carries_its_category_s_path() -> None:
    tree = {"goods": Category("goods", "Goods"), "arms": Category("arms", "Arms", "goods")}
    policy_set = replace(a_policy_set(a_policy(category="arms")), categories=tree)

    assert judge(policy_set, "a gun").verdicts[0].category_path == ("goods", "arms")


@pytest.mark.parametrize("canary", [1.0, 0.999])
def test_what_the_starter_cannot_judge_is_a_shadow_under_it_and_acts_with_clip(
    canary: float,
) -> None:
    policy_set = a_policy_set(a_policy(needs_clip=True, canary=canary), KNIVES)

    with_starter = judge(policy_set, "a gun", is_starter=True)
    with_clip = judge(policy_set, "a gun")

    assert with_starter.action is Action.ALLOW
    assert [verdict.mode for verdict in with_starter.verdicts] == [Mode.SHADOW]
    assert with_clip.action is Action.BLOCK


def test_the_scores_of_all_policies_are_told_and_which_of_them_judged() -> None:
    outcome = judge(
        a_policy_set(GUNS, KNIVES), "a gun", options=Options(policy_ids=frozenset({"knives"}))
    )

    assert outcome.scores is not None
    score_by_policy = {
        policy.id: (score > 0.9, judged)
        for policy, score, judged in zip(
            outcome.scores.policies, outcome.scores.score, outcome.scores.judged, strict=True
        )
    }
    assert score_by_policy == {"guns": (True, False), "knives": (False, True)}
