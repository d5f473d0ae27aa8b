"""Categories as a tree: paths from the general to the particular, and no circles."""

from collections.abc import Callable

import pytest

from moderation.core.policy import PolicySet
from moderation.core.taxonomy import Category, Taxonomy, path_of, require_tree
from tests.builders import a_policy

TREE: Taxonomy = {
    "goods": Category("goods", "Goods"),
    "weapons": Category("weapons", "Weapons", "goods"),
    "guns": Category("guns", "Guns", "weapons"),
}


@pytest.mark.parametrize(
    ("category", "path"),
    [
        ("goods", ("goods",)),
        ("guns", ("goods", "weapons", "guns")),
        ("unheard-of", ("unheard-of",)),
    ],
)
def test_a_path_leads_from_the_general_to_the_particular(
    category: str, path: tuple[str, ...]
) -> None:
    assert path_of(category, TREE) == path


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: {"a": Category("b", "B")}, "'b' is filed under 'a'"),
        (lambda: {"a": Category("a", "A", "b")}, "parent 'b'; there is none"),
        (lambda: {"a": Category("a", "A", "a")}, "'a' is above itself"),
        (lambda: {"a": Category("a", "A", "b"), "b": Category("b", "B", "a")}, "above itself"),
    ],
)
def test_what_is_no_tree_is_refused(build: Callable[[], Taxonomy], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_tree(build())


def test_a_category_below_a_circle_has_a_path_that_ends() -> None:
    circle = {
        "a": Category("a", "A", "b"),
        "b": Category("b", "B", "a"),
        "c": Category("c", "C", "a"),
    }

    assert path_of("c", circle) == ("b", "a", "c")


def test_a_policy_s_category_must_be_in_the_tree_or_be_other() -> None:
    with pytest.raises(ValueError, match="'weapons': there is no category 'gun'"):
        PolicySet((a_policy(category="gun"),), categories=TREE)

    assert PolicySet((a_policy("a"), a_policy("b", category="guns")), categories=TREE).version
