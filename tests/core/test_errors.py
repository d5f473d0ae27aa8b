"""The tree that the module draws is the tree that there is."""

import pytest

from moderation.core import errors
from moderation.core.errors import ModerationError, PolicySetRejected, Problem


def drawn_tree(docstring: str) -> dict[str, str]:
    """Parent by child, read from the box characters of a docstring."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in docstring.splitlines():
        name = line.lstrip("│├└─ ").split(" ")[0]
        if not name or not hasattr(errors, name):
            continue
        depth = (len(line) - len(line.lstrip("│├└─ "))) // 4
        path = [*path[:depth], name]
        if depth:
            parents[name] = path[depth - 1]
    return parents


def real_tree(root: type[ModerationError]) -> dict[str, str]:
    parents = {child.__name__: root.__name__ for child in root.__subclasses__()}
    for child in root.__subclasses__():
        parents |= real_tree(child)
    return parents


def test_the_docstring_draws_every_error_under_its_parent() -> None:
    assert drawn_tree(errors.__doc__ or "") == real_tree(ModerationError)


def test_every_error_says_when_it_is_raised() -> None:
    assert all(getattr(errors, name).__doc__ for name in real_tree(ModerationError))


@pytest.mark.parametrize(
    ("problem", "shown"),
    [
        (Problem("weapons.yaml", 14, 7, "unknown key"), "weapons.yaml:14:7: unknown key"),
        (Problem("weapons.yaml", 0, 0, "is not readable"), "weapons.yaml: is not readable"),
    ],
)
def test_a_problem_reads_like_a_compiler_s(problem: Problem, shown: str) -> None:
    assert str(problem) == shown


def test_a_rejected_set_tells_every_problem() -> None:
    problems = (Problem("a.yaml", 1, 1, "first"), Problem("b.yaml", 2, 1, "second"))

    rejected = PolicySetRejected(problems)

    assert rejected.problems == problems
    assert str(rejected).splitlines() == ["a.yaml:1:1: first", "b.yaml:2:1: second"]
