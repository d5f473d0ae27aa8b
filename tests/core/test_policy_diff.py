"""What differs in meaning between two policy sets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.calibration import IsotonicCalibration, TargetKind, ThresholdTarget
from moderation.core.policy import (
    Action,
    BoundEncoder,
    Mode,
    Phrase,
    Policy,
    PolicySet,
    Profile,
    Severity,
    Thresholds,
    UnsolvedThresholds,
)
from moderation.core.policy_diff import Fate, diff_policy_sets
from tests.builders import a_calibration, a_policy, a_policy_set


def changes(old: Policy, new: Policy) -> list[str]:
    """Every change as it is shown."""
    diff = diff_policy_sets(a_policy_set(old), a_policy_set(new))
    return [str(change) for part in diff.policies for change in part.changes]


OLD = a_policy(phrases=["a gun", "a rifle"], contrast=["a drill"])


@pytest.mark.parametrize(
    ("new", "shown"),
    [
        (replace(OLD, title="Guns"), "~ title: Weapons -> Guns"),
        (replace(OLD, mode=Mode.SHADOW), "~ mode: enforce -> shadow"),
        (replace(OLD, severity=Severity.HIGH), "~ severity: medium -> high"),
        (replace(OLD, description="Arms"), "+ description: Arms"),
        (replace(OLD, needs_clip=True), "~ needs_clip: false -> true"),
        (replace(OLD, aggregation="mean"), "~ aggregation: max -> mean"),
        (replace(OLD, thresholds=Thresholds(0.4, 0.8)), "~ thresholds.review: 0.5 -> 0.4"),
        (replace(OLD, thresholds=Thresholds(0.5, None)), "- thresholds.block: 0.8"),
        (replace(OLD, phrases=(*OLD.phrases, Phrase("a bow"))), '+ phrases["a bow"]'),
        (replace(OLD, phrases=(*OLD.phrases, Phrase("a bow", 0.5))), '+ phrases["a bow"]: 0.5'),
        (replace(OLD, phrases=OLD.phrases[:1]), '- phrases["a rifle"]'),
        (replace(OLD, contrast=()), '- contrast["a drill"]'),
        (replace(OLD, templates=("{}", "my {}")), '+ templates["my {}"]'),
        (
            replace(OLD, phrases=(Phrase("a gun", 0.5), OLD.phrases[1])),
            '~ phrases["a gun"]: 1 -> 0.5',
        ),
    ],
)
def test_a_change_is_told_by_the_names_that_the_files_use(new: Policy, shown: str) -> None:
    assert changes(OLD, new) == [shown]


def test_what_means_the_same_makes_no_difference() -> None:
    turned = replace(OLD, phrases=OLD.phrases[::-1], thresholds=Thresholds(0.5, 0.8))

    assert diff_policy_sets(a_policy_set(OLD), a_policy_set(turned)).is_empty


def test_a_policy_that_came_and_one_that_went_are_told_whole() -> None:
    old = a_policy_set(a_policy("a"), a_policy("b"))
    new = a_policy_set(a_policy("b"), a_policy("c", phrases=["a cat"]))

    went, came = diff_policy_sets(old, new).policies

    assert (went.id, went.fate) == ("a", Fate.REMOVED)
    assert (came.id, came.fate) == ("c", Fate.ADDED)
    assert [str(change) for change in came.changes] == [
        "+ title: C",
        '+ phrases["a cat"]',
        "+ thresholds.review: 0.5",
        "+ thresholds.block: 0.8",
        '+ templates["{}"]',
    ]
    assert '- phrases["a gun"]' in map(str, went.changes)


def test_changes_of_profiles_are_told() -> None:
    policies = (a_policy("a"), a_policy("b"))
    kids = Profile("kids", thresholds={"a": Thresholds(0.3, None)})
    stricter = Profile("kids", frozenset({"a"}), {"a": Thresholds(0.2, 0.9)}, Action.BLOCK)

    (part,) = diff_policy_sets(
        a_policy_set(*policies, profiles=[kids]), a_policy_set(*policies, profiles=[stricter])
    ).profiles

    assert [str(change) for change in part.changes] == [
        "- policies: all",
        "~ thresholds.a.review: 0.3 -> 0.2",
        "~ on_unjudgeable: review -> block",
        '+ policies["a"]',
        "+ thresholds.a.block: 0.9",
    ]


@given(st.lists(st.sampled_from("abcde"), min_size=1, unique=True), st.data())
def test_a_set_differs_from_another_exactly_when_their_versions_do(
    ids: list[str], data: st.DataObject
) -> None:
    def drawn() -> PolicySet:
        cut = st.sampled_from([0.1, 0.5])
        return a_policy_set(*(a_policy(one, review=data.draw(cut)) for one in ids))

    old, new = drawn(), drawn()

    assert diff_policy_sets(old, new).is_empty == (old.version == new.version)


FIRST, SECOND = BoundEncoder("a" * 64, "small", "lock"), BoundEncoder("b" * 64, "large", "lock")


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (FIRST, SECOND, [f"~ encoder_id: {'a' * 64} -> {'b' * 64}", "~ name: small -> large"]),
        (None, FIRST, [f"+ encoder_id: {'a' * 64}", "+ name: small"]),
        (FIRST, None, [f"- encoder_id: {'a' * 64}", "- name: small"]),
        (FIRST, replace(FIRST, name="tiny", file="elsewhere"), []),
    ],
)
def test_a_set_that_is_bound_to_another_encoder_differs(
    old: BoundEncoder | None, new: BoundEncoder | None, shown: list[str]
) -> None:
    policy_set = a_policy_set(OLD)
    before, after = replace(policy_set, encoder=old), replace(policy_set, encoder=new)

    diff = diff_policy_sets(before, after)

    assert [str(one) for _, part in diff.parts for one in part.changes] == shown
    assert [(kind, part.id) for kind, part in diff.parts] == [("binding", "encoder.lock")][
        : len(shown)
    ]
    assert diff.is_empty == (before.version == after.version)


def test_a_profile_that_is_like_the_default_one_is_told_when_it_comes() -> None:
    old, new = a_policy_set(OLD), a_policy_set(OLD, profiles=[Profile("kids")])

    (part,) = diff_policy_sets(old, new).profiles

    assert (part.id, part.fate, part.changes) == ("kids", Fate.ADDED, ())
    assert old.version != new.version


def test_a_target_in_place_of_a_number_is_told_as_it_is_written() -> None:
    target = ThresholdTarget(TargetKind.MAX_FPR, 0.01)
    new = replace(OLD, thresholds=UnsolvedThresholds(0.5, target))

    assert changes(OLD, new) == [f"~ thresholds.block: 0.8 -> {target}"]


def test_a_calibration_fitted_anew_is_told_point_by_point() -> None:
    policy_set = a_policy_set(OLD)
    first, second = (
        a_calibration(OLD, fit=IsotonicCalibration(((0.0, 0.1), (1.0, high))))
        for high in (0.8, 0.9)
    )

    diff = diff_policy_sets(
        replace(policy_set, calibrations={OLD.id: first}),
        replace(policy_set, calibrations={OLD.id: second}),
    )

    (part,) = diff.calibrations
    assert [str(change) for change in part.changes] == ["~ fit.points[2][2]: 0.8 -> 0.9"]
