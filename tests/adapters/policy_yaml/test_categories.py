"""The taxonomy: what categories.yaml says, and every mistake that can be made with it."""

from pathlib import Path

import pytest

from moderation.core.taxonomy import Category
from tests.adapters.policy_yaml.writing import GOOD, edited, load, problems, write

CATEGORIES = """\
categories:
  regulated-goods: {title: Regulated goods}
  weapons: {title: Weapons, parent: regulated-goods}
"""

WRONG = {
    "an empty file": ("# none\n", ": the file is empty"),
    "no category": ("categories: {}\n", ":1:13: categories: must not be empty"),
    "an unknown key": (
        "categories: {weapons: {titel: Weapons}}\n",
        ":1:14: categories.weapons.title: this key is required",
        ":1:24: categories.weapons: unknown key 'titel'; did you mean title? "
        "(known keys: title, parent)",
    ),
    "a name that is no id": (
        "categories: {Weapons: {title: Weapons}}\n",
        ":1:14: categories.Weapons: the name must be lower-case letters and digits, with single "
        "hyphens between them, at most 64 characters",
    ),
    "a parent that there is not": (
        "categories: {weapons: {title: W, parent: goods}}\n",
        ":1:42: categories.weapons.parent: there is no category 'goods'; add it, or remove this "
        "line",
    ),
    "a circle": (
        "categories:\n  a: {title: A, parent: b}\n  b: {title: B, parent: a}\n",
        ":2:25: categories.a.parent: 'a' would be above itself",
        ":3:25: categories.b.parent: 'b' would be above itself",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_a_mistake_in_the_taxonomy_is_told_at_its_place(
    tmp_path: Path, case: tuple[str, ...]
) -> None:
    text, *told = case
    directory = write(tmp_path, x=GOOD, categories=text)

    assert problems(directory) == [f"policies/categories.yaml{one}" for one in told]


def test_a_policy_s_category_must_be_one_of_them(tmp_path: Path) -> None:
    wrong = edited(("title: X", "title: X\ncategory: weapon"))

    assert problems(write(tmp_path, x=wrong, categories=CATEGORIES)) == [
        "policies/x.yaml:3:11: category: there is no category 'weapon'; did you mean weapons?"
    ]


def test_a_category_that_is_near_to_none_is_told_with_all_that_there_are(tmp_path: Path) -> None:
    wrong = edited(("title: X", "title: X\ncategory: drinks"))

    (told,) = problems(write(tmp_path, x=wrong, categories=CATEGORIES))

    known = told.partition("use one of ")[2].partition(", or add it to categories.yaml")[0]
    assert {"weapons", "other"} <= set(known.split(", "))


def test_without_the_file_any_category_will_do(tmp_path: Path) -> None:
    assert problems(write(tmp_path, x=edited(("title: X", "title: X\ncategory: anything")))) == []


def test_a_policy_without_a_category_is_always_known(tmp_path: Path) -> None:
    policy_set = load(write(tmp_path, x=GOOD, categories=CATEGORIES))

    assert policy_set.categories == {
        "regulated-goods": Category("regulated-goods", "Regulated goods"),
        "weapons": Category("weapons", "Weapons", "regulated-goods"),
    }


def test_a_taxonomy_that_cannot_be_read_is_told_once(tmp_path: Path) -> None:
    wrong = edited(("title: X", "title: X\ncategory: anything"))

    assert problems(write(tmp_path, x=wrong, categories=b"\xff")) == [
        "policies/categories.yaml:1:1: byte 0xff is not UTF-8; save the file as UTF-8"
    ]
