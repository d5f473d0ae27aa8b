"""Expectations hold or not as the decisions themselves would say."""

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moderation.core.content import Embeddings
from moderation.core.decision import Options, decide
from moderation.core.policy import Action, Mode, PolicySet, Profile
from moderation.core.policy_tests import (
    Expectation,
    PolicyTest,
    ScoreRange,
    Subject,
    SubjectKind,
    failed,
    run_tests,
)
from moderation.core.scoring import CompiledPolicies, score
from tests.builders import a_policy, a_policy_set, compiled
from tests.fakes import embedding_of

GUN, CAT = (Subject(SubjectKind.TEXT, text) for text in ("a gun", "a cat"))
BROKEN = Subject(SubjectKind.PICTURE, "x.jpg")
SEEN: dict[Subject, Embeddings | str] = {
    **{one: embedding_of(one.name)[None] for one in (GUN, CAT)},
    BROKEN: "this picture cannot be judged: it is broken",
}
KIDS = Profile("kids", frozenset({"pets"}))
POLICIES = a_policy_set(
    a_policy("weapons"),
    a_policy("pets", phrases=["a cat"], block=None),
    a_policy("shadow", phrases=["a gun"], mode=Mode.SHADOW),
    profiles=[KIDS],
)


def a_test(
    subject: Subject = GUN,
    *,
    profile: str = "",
    **expected: Any,  # noqa: ANN401 - its fields
) -> PolicyTest:
    return PolicyTest("tests/x.yaml", 3, 5, subject, Expectation(**expected), profile)


def complaints(
    test: PolicyTest, policies: PolicySet = POLICIES, *, is_starter: bool = False
) -> tuple[str, ...]:
    (outcome,) = run_tests([test], SEEN, compiled(policies), is_starter=is_starter)
    assert outcome.has_failed == bool(outcome.complaints) == bool(failed([outcome]))
    return outcome.complaints


@pytest.mark.parametrize(
    "test",
    [
        a_test(),
        a_test(actions=frozenset({Action.BLOCK})),
        a_test(actions=frozenset({Action.BLOCK, Action.REVIEW}), policy_id="weapons"),
        a_test(flagged_by=("weapons", "shadow"), not_flagged_by=("pets",)),
        a_test(scores={"weapons": ScoreRange(0.9, 1.0), "pets": ScoreRange(0.0, 0.2)}),
        a_test(CAT, actions=frozenset({Action.REVIEW}), policy_id="pets"),
        a_test(GUN, profile="kids", actions=frozenset({Action.ALLOW}), policy_id="pets"),
        a_test(GUN, profile="kids", not_flagged_by=("weapons",)),
    ],
)
def test_what_is_as_expected_is_not_complained_of(test: PolicyTest) -> None:
    assert complaints(test) == ()


@pytest.mark.parametrize(
    ("test", "told"),
    [
        (a_test(actions=frozenset({Action.ALLOW})), "expected allow, got block by weapons (score"),
        (
            a_test(CAT, actions=frozenset({Action.BLOCK, Action.ALLOW})),
            "expected allow or block, got review by pets (score",
        ),
        (
            a_test(GUN, profile="kids", actions=frozenset({Action.BLOCK})),
            "expected block, got allow",
        ),
        (a_test(policy_id="pets"), "expected pets to decide, and weapons did"),
        (a_test(flagged_by=("pets",)), "pets did not flag it (score 0."),
        (a_test(not_flagged_by=("shadow",)), "shadow flagged it (score 0.99"),
        (a_test(scores={"pets": ScoreRange(0.5, 1.0)}), "pets should score 0.5 to 1 (score 0."),
        (
            a_test(profile="kids", flagged_by=("weapons",)),
            "weapons did not flag it (it does not judge here)",
        ),
        (
            a_test(profile="kids", scores={"weapons": ScoreRange()}),
            "weapons should score 0 to 1 (it",
        ),
        (a_test(profile="nope"), "unknown name 'nope'"),
        (a_test(flagged_by=("nope",)), "unknown name 'nope'"),
        (a_test(BROKEN), "this picture cannot be judged: it is broken"),
    ],
)
def test_what_is_not_as_expected_is_told(test: PolicyTest, told: str) -> None:
    (complaint,) = complaints(test)

    assert complaint.startswith(told)


def test_everything_wrong_with_a_content_is_told_at_once() -> None:
    test = a_test(
        actions=frozenset({Action.ALLOW}), flagged_by=("pets",), not_flagged_by=("weapons",)
    )

    assert len(complaints(test)) == 3


def test_what_needs_clip_is_skipped_with_the_starter() -> None:
    test = a_test(actions=frozenset({Action.ALLOW}), needs_clip=True)

    (skipped,) = run_tests([test], SEEN, compiled(POLICIES), is_starter=True)

    assert (skipped.is_skipped, skipped.has_failed) == (True, False)
    assert complaints(test)


def test_a_canary_counts_as_acting_and_nobody_is_audited() -> None:
    audited = Profile(audit_share=1.0)
    canary = replace(a_policy(), canary=0.01)
    policies = PolicySet((canary,), {"default": audited})

    assert complaints(a_test(actions=frozenset({Action.BLOCK})), policies) == ()
    assert complaints(a_test(CAT, actions=frozenset({Action.ALLOW})), policies) == ()


def test_a_profile_of_nothing_but_what_is_off_allows() -> None:
    policies = a_policy_set(
        a_policy(), a_policy("off", mode=Mode.OFF), profiles=[Profile("p", frozenset({"off"}))]
    )

    assert complaints(a_test(profile="p", actions=frozenset({Action.ALLOW})), policies) == ()


def test_without_tests_there_is_no_outcome() -> None:
    assert run_tests([], {}, compiled(POLICIES)) == ()


@pytest.mark.parametrize(("low", "high"), [(0.5, 0.4), (-0.1, 1.0), (0.0, 1.1)])
def test_a_range_that_no_score_lies_in_is_refused(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="no score lies"):
        ScoreRange(low, high)


def a_crowd(contents: int) -> dict[Subject, Embeddings]:
    random = np.random.default_rng(1)
    frames = random.normal(size=(contents, 64)).astype(np.float32)
    for row, text in enumerate(("a gun", "a cat") * (contents // 4)):
        frames[row] = embedding_of(text) * 4 + frames[row] * 0.25
    frames /= np.linalg.norm(frames, axis=1, keepdims=True)
    return {Subject(SubjectKind.EMBEDDING, f"c{row}"): one[None] for row, one in enumerate(frames)}


def decided(ready: CompiledPolicies, frames: Embeddings) -> tuple[Action, str]:
    cuts = ready.cuts["default"]
    outcome = decide(score(frames, ready), ready, cuts, Options(), content_id="x")
    return outcome.action, outcome.deciding.policy.id if outcome.deciding else ""


def test_tests_agree_with_decisions_on_every_content() -> None:
    policies = (
        a_policy(review=0.2, block=0.6),
        a_policy("pets", phrases=["a cat"], review=0.1, block=0.5),
        a_policy("both", phrases=["a cat", "a gun"], review=0.1, block=0.7),
    )
    ready, crowd = compiled(a_policy_set(*policies)), a_crowd(200)
    expected = {subject: decided(ready, frames) for subject, frames in crowd.items()}
    tests = [
        a_test(subject, actions=frozenset({action}), policy_id=policy_id)
        for subject, (action, policy_id) in expected.items()
    ]

    assert {action for action, _ in expected.values()} == set(Action)
    assert failed(run_tests(tests, crowd, ready)) == ()


def test_thousands_are_run_in_a_second_with_many_policies() -> None:
    policies = [a_policy(f"p{n}", phrases=[f"{n}"], review=0.9, block=None) for n in range(100)]
    crowd = a_crowd(5000)
    tests = [a_test(subject, actions=frozenset({Action.ALLOW})) for subject in crowd]
    ready = compiled(a_policy_set(*policies))

    started = time.process_time()
    outcomes = run_tests(tests, crowd, ready)

    assert len(outcomes) == 5000
    assert time.process_time() - started < 2.5
