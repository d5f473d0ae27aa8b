"""Each rule finds what it is about, and lets pass what is as it should be."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pytest

from moderation.core.calibration import Calibration, PolicyCalibration
from moderation.core.content import Embedding
from moderation.core.lint import RULES, Finding, Lint, lint
from moderation.core.policy import Mode, Phrase, Policy, PolicySet, Profile
from moderation.core.scoring import texts_to_embed
from tests.builders import a_policy, a_policy_set, an_encoder_info, compiled
from tests.fakes import embedding_of

TODAY = date(2026, 3, 1)


def near(text: str, share: float) -> Embedding:
    """A vector whose similarity to a text's is about that share."""
    base, rest = embedding_of(text), embedding_of(f"beside {text}")
    rest = rest - (rest @ base) * base
    rest /= np.linalg.norm(rest)
    return np.asarray(share * base + np.sqrt(1 - share**2) * rest, dtype=np.float32)


def found(
    *policies: Policy,
    vectors: Mapping[str, Embedding] | None = None,
    is_starter: bool = False,
    family: str = "fake",
    policy_set: PolicySet | None = None,
) -> list[Finding]:
    """What lint says of these policies; a `*` in a text stands for a token too many."""
    checked = policy_set or a_policy_set(*policies)
    embeddings = {text: embedding_of(text) for text in texts_to_embed(checked)} | dict(
        vectors or {}
    )
    ready = compiled(checked, embedding_by_text=embeddings)
    encoder = an_encoder_info(is_starter=is_starter, family=family)
    return list(lint(Lint(ready, encoder, count_stars, TODAY)))


def count_stars(texts: Sequence[str]) -> list[int]:
    return [text.count("*") for text in texts]


def told(
    *policies: Policy,
    **rest: Any,  # noqa: ANN401 - what `found` takes
) -> list[tuple[str, str, str, str]]:
    return [(one.code, one.policy_id, one.key, one.text) for one in found(*policies, **rest)]


def test_good_policies_are_let_pass() -> None:
    assert told(a_policy("a", contrast=["a drill"]), a_policy("b", phrases=["a cat"])) == []


def test_every_rule_has_a_code_of_its_own() -> None:
    assert len(RULES) == 13


def test_a_text_longer_than_the_encoder_reads_is_told_under_its_longest_template() -> None:
    policy = a_policy(phrases=["a gun", "long **"], contrast=["*"], templates=("{}", "see {} *"))

    longest = {one.text: one.message for one in found(policy) if one.code == "W101"}

    assert longest == {
        "a gun": "the encoder does not see its last 1 tokens",
        "long **": "the encoder does not see its last 3 tokens",
        "*": "the encoder does not see its last 2 tokens",
    }


def test_a_phrase_of_two_policies_is_told_at_the_second() -> None:
    first, second = a_policy("a"), a_policy("b", phrases=["a cat", "A gun"])

    assert told(first, second) == [("W102", "b", "phrases", "A gun")]


def test_a_contrast_phrase_may_stand_in_many_policies() -> None:
    first = a_policy("a", contrast=["a drill"])

    assert told(first, a_policy("b", phrases=["a cat"], contrast=["a drill"])) == []


def test_a_phrase_that_another_policy_takes_for_harmless_is_told() -> None:
    guns = a_policy("guns", phrases=["a gun", "a toy gun"])
    toys = a_policy("toys", phrases=["a bad toy"], contrast=["a plastic gun"])

    (finding,) = found(guns, toys, vectors={"a plastic gun": near("a toy gun", 0.95)})

    assert (finding.code, finding.policy_id, finding.text) == ("W103", "guns", "a toy gun")
    assert "nearer to 'a plastic gun', which policy toys takes for harmless" in finding.message
    assert "0.95" in finding.message


def test_a_phrase_nearer_to_its_own_policy_than_to_the_other_s_contrast_is_let_pass() -> None:
    guns = a_policy("guns", phrases=["a gun", "a pistol"])
    toys = a_policy("toys", phrases=["a bad toy"], contrast=["a plastic gun"])
    vectors = {"a plastic gun": near("a gun", 0.82), "a pistol": near("a gun", 0.99)}

    assert told(guns, toys, vectors=vectors) == []


def test_a_contrast_phrase_that_both_policies_have_is_no_quarrel() -> None:
    guns = a_policy("guns", phrases=["a gun"], contrast=["a plastic gun"], review=0.01)
    toys = a_policy("toys", phrases=["a bad toy"], contrast=["A plastic gun"])
    vectors = {text: near("a gun", 0.9) for text in ("a plastic gun", "A plastic gun")}

    assert "W103" not in [code for code, *_ in told(guns, toys, vectors=vectors)]


def test_a_phrase_that_its_own_contrast_swallows_is_told() -> None:
    policy = a_policy(phrases=["a gun", "a cat"], contrast=["a pistol"])

    (finding,) = (
        one for one in found(policy, vectors={"a pistol": near("a gun", 0.9)}) if one.code == "W104"
    )

    assert finding.text == "a gun"
    assert "scores 0.02, below review (0.5)" in finding.message


def test_a_contrast_phrase_that_would_be_flagged_is_told() -> None:
    policy = a_policy(
        phrases=["a gun"], contrast=["a pistol", "a cup", "a tree"], review=0.4, block=None
    )

    (finding,) = (
        one
        for one in found(policy, vectors={"a pistol": near("a gun", 0.95)})
        if one.key == "contrast"
    )

    assert (finding.code, finding.text) == ("W105", "a pistol")
    assert "is flagged from 0.4 on" in finding.message


@pytest.mark.parametrize("text", ["оружие", "銃を持つ人", "سلاح", "a gun и большой меч"])
def test_a_text_in_a_script_that_the_encoder_does_not_read_is_told(text: str) -> None:
    policy = a_policy(phrases=["a gun", text], contrast=["a cup"])

    assert told(policy) == [("W106", "weapons", "phrases", text)]
    assert told(policy, family="siglip2") == []


@pytest.mark.parametrize("text", ["Pokémon cards", "a жук", "7.62 / 39", "42", "Kaffeetasse"])
def test_accents_names_and_numbers_are_let_pass(text: str) -> None:
    longer = f"{text} on a wooden table"

    assert told(a_policy(phrases=["a gun", longer])) == []
    assert told(a_policy(phrases=["a gun", "42"])) == []


@pytest.mark.parametrize("text", ["eine Tasse Kaffee", "Mann mit Pistole", "une tasse de café"])
def test_a_text_with_small_words_of_another_language_is_told(text: str) -> None:
    policy = a_policy(phrases=["a gun", text], contrast=["a drill"])

    assert told(policy) == [("W106", "weapons", "phrases", text)]
    assert told(policy, family="siglip2") == []


@pytest.mark.parametrize("text", ["a knife without a handle", "No weapons", "a dog, not a wolf"])
def test_a_text_that_denies_something_is_told(text: str) -> None:
    assert told(a_policy(phrases=["a gun", text])) == [("W112", "weapons", "phrases", text)]
    assert told(a_policy(phrases=["a gun", "a notebook on a nordic table"])) == []


@pytest.mark.parametrize("text", ["a gun,", "\N{LEFT DOUBLE QUOTATION MARK}a gun", "a gun;"])
def test_a_mark_at_an_end_is_told_to_be_part_of_the_text(text: str) -> None:
    (finding,) = found(a_policy(phrases=["a pistol", text]))

    assert (finding.code, finding.text) == ("W113", text)
    assert told(a_policy(phrases=['a 12" gun', "a gun (toy)"])) == []


def test_the_same_text_as_phrase_here_and_contrast_there_is_no_quarrel() -> None:
    coffee = a_policy("coffee", phrases=["a cup of coffee", "an espresso"])
    wine = a_policy("wine", phrases=["wine"], contrast=["A cup of coffee"])
    same = embedding_of("a cup of coffee")

    assert told(coffee, wine, vectors={"A cup of coffee": same}) == []


def test_with_the_starter_a_policy_that_needs_clip_is_told() -> None:
    policy = a_policy(needs_clip=True)

    assert told(policy, is_starter=True) == [("W107", "weapons", "needs_clip", "")]
    assert told(policy) == []
    assert told(replace(policy, mode=Mode.SHADOW), is_starter=True) == []


def test_a_calibration_of_an_earlier_wording_is_told() -> None:
    stale = PolicyCalibration("weapons", "fake-encoder", "0" * 64, Calibration(5.0, 1.0), 9, 9)
    policy_set = replace(a_policy_set(), calibrations={"weapons": stale})

    assert told(policy_set=policy_set) == [("W108", "weapons", "phrases", "")]


@pytest.mark.parametrize(
    ("expires", "is_told"), [(date(2026, 2, 28), True), (TODAY, False), (None, False)]
)
def test_a_policy_whose_last_day_has_passed_is_told(expires: date | None, is_told: bool) -> None:
    policy = replace(a_policy(), expires=expires)

    assert told(policy) == ([("W109", "weapons", "expires", "")] if is_told else [])


def test_an_expired_policy_that_is_off_is_let_pass() -> None:
    off = replace(a_policy("off"), expires=date(2026, 1, 1), mode=Mode.OFF)

    assert told(a_policy(), off) == []


def test_a_policy_that_no_profile_selects_is_told() -> None:
    policies = (a_policy("a"), a_policy("b", phrases=["a cat"]))
    policy_set = PolicySet(policies, {"default": Profile(policy_ids=frozenset({"a"}))})

    assert told(policy_set=policy_set) == [("W110", "b", "id", "")]


def test_many_phrases_are_compared_in_parts_without_mixing_them_up() -> None:
    many = a_policy("many", phrases=[Phrase(f"thing {n}") for n in range(3000)])
    other = a_policy("other", phrases=["a cat"], contrast=["look-alike"])

    (finding,) = found(many, other, vectors={"look-alike": near("thing 2500", 0.9)})

    assert (finding.code, finding.text) == ("W103", "thing 2500")


@pytest.mark.parametrize("family", ["clip", "siglip", "siglip2"])
def test_a_policy_that_compares_with_nothing_is_told_where_that_flags_everything(
    family: str,
) -> None:
    lonely, compared = (
        a_policy("a", contrast=[]),
        a_policy("b", phrases=["a cat"], contrast=["a cup"]),
    )

    assert told(lonely, compared, family=family) == [("W111", "a", "phrases", "")]
    assert told(lonely, compared, family="another") == []
