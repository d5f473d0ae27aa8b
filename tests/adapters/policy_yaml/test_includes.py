"""Shared phrases: what policies take from lists.yaml, and every mistake that can be made there."""

from pathlib import Path

import pytest

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.policy import Phrase, Policy
from tests.adapters.policy_yaml.writing import GOOD, edited, load, problems, write

LISTS = """\
lists:
  firearms:
    - a rifle
    - {text: a gun, weight: 0.5}
  toys: [a water pistol]
background:
  - a city street
  - include: toys
"""
WITH_LISTS = edited(
    ("  - a pistol", "  - include: firearms"), ("thresholds", "contrast: [a drill]\nthresholds")
)

WRONG = {
    "an empty file": ("# none\n", ": the file is empty"),
    "an unknown key": (
        "list: {}\n",
        ":1:1: unknown key 'list'; did you mean lists? (known keys: lists, background)",
    ),
    "lists that are a list": (
        "lists: [a gun]\n",
        ":1:8: lists: must be a mapping of keys to values, got a list",
    ),
    "a list that is empty": ("lists: {guns: []}\n", ":1:15: lists.guns: must not be empty"),
    "a name that is no id": (
        "lists:\n  Big guns: [a gun]\n",
        ":2:3: lists.'Big guns': the name must be lower-case letters and digits, with single "
        "hyphens between them, at most 64 characters",
    ),
    "a phrase that is a number": (
        "lists: {guns: [42]}\n",
        ":1:16: lists.guns[1]: must be a text, or a mapping with text and weight, got 42; "
        "put it in quotes",
    ),
    "a list in a list": (
        "lists:\n  guns: [a gun]\n  all: [include: guns]\n",
        ":3:18: lists.all[1]: a list cannot include another one; write its phrases out",
    ),
    "a phrase twice in a list": (
        "lists:\n  guns:\n    - a gun\n    - {text: A  gun}\n",
        ":4:14: lists.guns[2]: 'A  gun' is already on line 3; remove one of them",
    ),
    "a phrase twice in the background": (
        "background:\n  - a street\n  - a street\n",
        ":3:5: background[2]: 'a street' is already on line 2; remove one of them",
    ),
    "a background that includes a list that there is not": (
        "lists: {guns: [a gun]}\nbackground:\n  - include: gun\n",
        ":3:14: background[1]: there is no list 'gun'; did you mean guns?",
    ),
}


def policy_of(directory: Path) -> Policy:
    (policy,) = load(directory).policies
    return policy


@pytest.mark.parametrize(("text", "told"), WRONG.values(), ids=WRONG)
def test_a_mistake_in_the_lists_is_told_at_its_place_and_nowhere_else(
    tmp_path: Path, text: str, told: str
) -> None:
    directory = write(tmp_path, x=WITH_LISTS, lists=text)

    assert problems(directory) == [f"policies/lists.yaml{told}"]


def test_phrases_of_a_list_join_a_policy_s_own_which_win(tmp_path: Path) -> None:
    policy = policy_of(write(tmp_path, x=WITH_LISTS, lists=LISTS))

    assert policy.phrases == (Phrase("a gun"), Phrase("a rifle"))


def test_the_background_is_contrast_of_every_policy(tmp_path: Path) -> None:
    policy = policy_of(write(tmp_path, x=WITH_LISTS, lists=LISTS))

    assert [one.text for one in policy.contrast] == ["a drill", "a city street", "a water pistol"]


def test_a_policy_can_do_without_the_background(tmp_path: Path) -> None:
    text = WITH_LISTS + "background: false\n"

    assert policy_of(write(tmp_path, x=text, lists=LISTS)).contrast == (Phrase("a drill"),)


def test_the_background_gives_way_to_a_policy_that_is_about_it(tmp_path: Path) -> None:
    text = edited(("a pistol", "A City street"))

    contrast = policy_of(write(tmp_path, x=text, lists=LISTS)).contrast

    assert [one.text for one in contrast] == ["a water pistol"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            edited(("a pistol", "include: firearm")),
            "5:14: phrases[2]: there is no list 'firearm'; did you mean firearms?",
        ),
        (
            edited(("- a pistol", "- include: toys\n  - include: toys")),
            "6:14: phrases[3]: list 'toys' is already included on line 5; remove one of them",
        ),
        (
            edited(("thresholds", "contrast:\n  - include: firearms\nthresholds")),
            "6:1: contrast: 'a gun' is among the phrases too, by way of a list; it cannot be both",
        ),
    ],
)
def test_a_wrong_include_is_told_in_the_policy(tmp_path: Path, text: str, told: str) -> None:
    directory = write(tmp_path, x=text, lists=LISTS)

    assert problems(directory) == [f"policies/x.yaml:{told}"]


def test_what_is_included_counts_towards_the_most_that_is_allowed(tmp_path: Path) -> None:
    many = "lists:\n  many:\n" + "".join(f"    - thing {n}\n" for n in range(999))
    directory = write(
        tmp_path, x=edited(("- a pistol", "- a pistol\n  - include: many")), lists=many
    )

    assert problems(directory) == [
        "policies/x.yaml:3:1: phrases: has 1001 items with what it includes; at most 1000 are "
        "allowed"
    ]


def test_an_edit_of_a_list_reaches_the_policies_that_include_it(tmp_path: Path) -> None:
    directory = write(tmp_path, x=WITH_LISTS, y=GOOD.replace("id: x", "id: y"), lists=LISTS)
    source = YamlPolicySource(directory)
    before = source.load()

    write(tmp_path, lists=LISTS.replace("a rifle", "a shotgun"))
    after = source.load()

    assert after.version != before.version
    assert Phrase("a shotgun") in after.policies[0].phrases


def test_a_second_file_of_lists_is_refused(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD, lists=LISTS)
    (directory / "lists.yml").write_text(LISTS)

    assert problems(directory) == [
        "policies/lists.yml: there is policies/lists.yaml already; keep one of them"
    ]


def test_lists_that_cannot_be_read_are_told_once(tmp_path: Path) -> None:
    directory = write(tmp_path, x=WITH_LISTS, lists=b"\xff")

    assert problems(directory) == [
        "policies/lists.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8"
    ]
