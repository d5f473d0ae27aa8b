"""Policies, profiles and their set: what can be built, and when two sets mean the same."""

from collections.abc import Callable
from dataclasses import fields, replace
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.canonical import canonical
from moderation.core.errors import PolicySetRejected, UnknownName
from moderation.core.policy import (
    Action,
    Mode,
    Phrase,
    Policy,
    PolicySet,
    Profile,
    Severity,
    Thresholds,
    policy_hash,
)
from tests.builders import a_policy, a_policy_set, compiled

cuts = st.floats(0.0, 1.0)
scores = st.floats(0.0, 1.0)


@given(cuts, cuts, scores, scores)
def test_a_higher_score_is_never_treated_more_leniently(
    one: float, other: float, low: float, high: float
) -> None:
    thresholds = Thresholds(min(one, other), max(one, other))
    low, high = sorted((low, high))

    assert thresholds.action_for(low) <= thresholds.action_for(high)


@pytest.mark.parametrize(
    ("score", "action", "margin"),
    [
        (0.40, Action.ALLOW, -0.10),
        (0.50, Action.REVIEW, 0.00),
        (0.75, Action.REVIEW, 0.25),
        (0.80, Action.BLOCK, 0.00),
        (0.95, Action.BLOCK, 0.15),
    ],
)
def test_a_score_has_reached_a_threshold_that_it_equals(
    score: float, action: Action, margin: float
) -> None:
    thresholds = Thresholds(review=0.5, block=0.8)

    assert thresholds.action_for(score) is action
    assert thresholds.margin_of(score) == pytest.approx(margin)


def test_without_a_block_threshold_nothing_blocks() -> None:
    thresholds = Thresholds(review=0.5, block=None)

    assert thresholds.action_for(1.0) is Action.REVIEW
    assert thresholds.margin_of(1.0) == 0.5


@pytest.mark.parametrize(
    ("review", "block", "message"),
    [
        (0.8, 0.5, "must not exceed"),
        (-0.1, None, "between 0 and 1"),
        (0.5, 1.1, "between 0 and 1"),
        (float("nan"), None, "between 0 and 1"),
        (0.5, float("nan"), "between 0 and 1"),
        (0.5, float("inf"), "between 0 and 1"),
    ],
)
def test_thresholds_out_of_order_or_range_are_refused(
    review: float, block: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Thresholds(review, block)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_a_phrase_has_to_say_something(text: str) -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Phrase(text)


@pytest.mark.parametrize("weight", [0.0, -1.0, 1.1, float("nan")])
def test_a_phrase_has_to_count_for_something(weight: float) -> None:
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        Phrase("a gun", weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phrases": ()}, "no phrases"),
        ({"templates": ()}, "every template needs {}"),
        ({"templates": ("a photo of {}.", "a photo")}, "every template needs {}"),
        ({"aggregation": "maxx"}, "'maxx'; use one of max, mean, top_k_mean, logsumexp"),
    ],
)
def test_a_policy_that_could_not_be_scored_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        a_policy(**changes)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PolicySet(()), "at least one policy that is not off"),
        (lambda: a_policy_set(a_policy(mode=Mode.OFF)), "at least one policy that is not off"),
        (lambda: a_policy_set(a_policy(), a_policy()), "unique"),
        (lambda: PolicySet((a_policy(),), {}), "a profile called 'default'"),
        (
            lambda: PolicySet((a_policy(),), {"default": Profile("kids")}),
            "profile 'kids' is filed under 'default'",
        ),
        (
            lambda: a_policy_set(profiles=[Profile("kids", frozenset({"gore"}))]),
            "profile 'kids' names policy 'gore'; there is none",
        ),
        (
            lambda: a_policy_set(profiles=[Profile("kids", thresholds={"gore": Thresholds(0, 1)})]),
            "profile 'kids' names policy 'gore'; there is none",
        ),
    ],
)
def test_a_set_that_cannot_judge_or_dangles_is_refused(
    build: Callable[[], PolicySet], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_no_name_means_the_default_profile() -> None:
    assert a_policy_set().profile("").id == "default"


def test_an_unknown_profile_is_answered_with_the_known_ones() -> None:
    policy_set = a_policy_set(profiles=[Profile("kids")])

    with pytest.raises(UnknownName, match="'kidz'; known: default, kids") as caught:
        policy_set.profile("kidz")

    assert caught.value.field == "options.profile"


def test_an_unknown_policy_is_answered_with_a_bounded_list() -> None:
    policy_set = a_policy_set(*(a_policy(f"p{number:02}") for number in range(25)))

    with pytest.raises(UnknownName, match=r"p00, .*, p19 and 5 more$") as caught:
        policy_set.require_policies(frozenset({"p01", "x" * 1000}))

    assert caught.value.field == "options.policy_ids"
    assert len(str(caught.value)) < 300


def test_known_policies_are_not_complained_about() -> None:
    a_policy_set().require_policies(frozenset({"weapons"}))


GUN, RIFLE = Phrase("a gun"), Phrase("a rifle", 0.5)
KIDS = Profile("kids", frozenset({"weapons"}), {"weapons": Thresholds(0.1, 0.2)})
POLICY = a_policy(phrases=(GUN, RIFLE), contrast=("a toy", "a drill"), templates=("{}", "a {}"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            a_policy_set(a_policy("a"), a_policy("b")),
            a_policy_set(a_policy("b"), a_policy("a")),
        ),
        (a_policy_set(POLICY), a_policy_set(replace(POLICY, phrases=(RIFLE, GUN)))),
        (a_policy_set(POLICY), a_policy_set(replace(POLICY, contrast=POLICY.contrast[::-1]))),
        (a_policy_set(POLICY), a_policy_set(replace(POLICY, templates=("a {}", "{}")))),
        (a_policy_set(a_policy(review=0, block=1)), a_policy_set(a_policy(review=0.0, block=1.0))),
        (
            a_policy_set(a_policy(phrases=(Phrase("a gun", 1),))),
            a_policy_set(a_policy(phrases=(Phrase("a gun", 1.0),))),
        ),
        (
            a_policy_set(profiles=[KIDS, Profile("ads")]),
            a_policy_set(profiles=[Profile("ads"), KIDS]),
        ),
    ],
)
def test_equal_meaning_is_an_equal_version(one: PolicySet, other: PolicySet) -> None:
    assert one.version == other.version


CHANGED: dict[str, Any] = {
    "id": "guns",
    "title": "Guns",
    "phrases": (GUN, Phrase("a rifle", 0.6)),
    "thresholds": Thresholds(0.5, None),
    "description": "Firearms.",
    "category": "violence",
    "severity": Severity.CRITICAL,
    "contrast": (Phrase("a toy"),),
    "templates": ("{}",),
    "aggregation": "mean",
    "mode": Mode.SHADOW,
    "canary": 0.5,
    "effective": date(2026, 3, 1),
    "expires": date(2026, 3, 31),
    "owner": "Trust and safety",
    "legal_ground": "Firearms act, section 4",
    "clause_url": "https://example.org/terms#weapons",
    "needs_clip": True,
}


@pytest.mark.parametrize("name", [one.name for one in fields(Policy)])
def test_a_change_to_any_field_of_a_policy_is_a_new_version(name: str) -> None:
    changed = replace(POLICY, **{name: CHANGED[name]})

    assert a_policy_set(changed).version != a_policy_set(POLICY).version


CHANGED_PROFILE: dict[str, Any] = {
    "id": "children",
    "policy_ids": None,
    "thresholds": {"weapons": Thresholds(0.1, 0.3)},
    "on_unjudgeable": Action.BLOCK,
    "review_budget": 0.02,
    "audit_share": 0.001,
}


@pytest.mark.parametrize("name", [one.name for one in fields(Profile)])
def test_a_change_to_any_field_of_a_profile_is_a_new_version(name: str) -> None:
    changed = replace(KIDS, **{name: CHANGED_PROFILE[name]})

    one, other = a_policy_set(profiles=[KIDS]), a_policy_set(profiles=[changed])

    assert one.version != other.version


def test_a_phrase_is_not_a_contrast_phrase() -> None:
    one = a_policy_set(a_policy(phrases=("a gun",), contrast=("a toy",)))
    other = a_policy_set(a_policy(phrases=("a toy",), contrast=("a gun",)))

    assert one.version != other.version


def test_a_version_is_a_sha256_in_hex() -> None:
    assert len(bytes.fromhex(a_policy_set().version)) == 32


def test_text_that_utf_8_cannot_carry_has_a_version_too() -> None:
    assert a_policy_set(a_policy(title="\ud800")).version != a_policy_set().version


def test_a_profile_mentions_what_it_selects_and_what_it_overrides() -> None:
    profile = Profile(
        "kids", frozenset({"a"}), MappingProxyType({"b": Thresholds(review=0.1, block=None)})
    )

    assert profile.named_policies == {"a", "b"}
    assert profile.selects("a")
    assert not profile.selects("b")
    assert Profile().selects("anything")


@pytest.mark.parametrize("name", [one.name for one in fields(Policy)])
def test_a_calibration_outlives_every_change_that_leaves_the_raw_score_alone(name: str) -> None:
    changed = replace(POLICY, **{name: CHANGED[name]})

    determines = name in {"phrases", "contrast", "templates", "aggregation"}
    assert (policy_hash(changed) != policy_hash(POLICY)) is determines


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"canary": 0.0}, "above 0 and at most 1"),
        ({"canary": 1.1}, "above 0 and at most 1"),
        ({"canary": 0.1, "mode": Mode.SHADOW}, "only a policy that is enforced has a canary"),
        ({"effective": date(2026, 3, 2), "expires": date(2026, 3, 1)}, "expires before"),
    ],
)
def test_terms_that_contradict_themselves_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        a_policy(**changes)


@pytest.mark.parametrize("shares", [{"audit_share": 1.5}, {"review_budget": -0.1}])
def test_shares_of_a_profile_that_are_none_are_refused(shares: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Profile(**shares)  # type: ignore[arg-type]  # only these two fields


@pytest.mark.parametrize(
    ("day", "is_on"), [(28, False), (1, True), (15, True), (31, True), (32, False)]
)
def test_a_policy_is_on_from_its_first_to_its_last_day(day: int, is_on: bool) -> None:
    policy = a_policy(effective=date(2026, 3, 1), expires=date(2026, 3, 31))
    today = date(2026, 2, 28) if day == 28 else date(2026, 3, 1) + timedelta(days=day - 1)

    assert policy.is_on(today) is is_on
    assert policy.is_expired(today) is (day == 32)


def test_a_policy_that_is_off_is_on_on_no_day() -> None:
    assert not a_policy(mode=Mode.OFF).is_on(date(2026, 3, 1))


def test_on_a_day_on_which_no_policy_is_on_a_set_cannot_judge() -> None:
    policy_set = a_policy_set(a_policy(expires=date(2026, 3, 1)))

    with pytest.raises(PolicySetRejected, match="off or outside its dates on 2026-03-02"):
        compiled(policy_set, day=date(2026, 3, 2))


def test_what_has_no_canonical_form_is_a_bug_and_says_so() -> None:
    with pytest.raises(TypeError, match="set has no canonical form"):
        canonical({1, 2})
