"""Only what has one safe cure is mended, and nothing else in the file is touched."""

from pathlib import Path

import pytest

from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.repairs import repair
from moderation.core.errors import PolicySetRejected, Problem
from tests.adapters.policy_yaml.writing import GOOD, edited, problems, write


def mended(directory: Path) -> int:
    try:
        YamlPolicySource(directory).load()
    except PolicySetRejected as rejected:
        return len(repair(directory, rejected.problems))
    return 0


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        (edited(("title: X", "titel: X")), GOOD),
        (edited(("thresholds:", "tresholds:")), GOOD),
        (edited(("{review:", "{reveiw:")), GOOD),
        (edited(("  - a gun\n", "  - a gun\n  - A  gun # again\n")), GOOD),
        (edited(("title: X", "titel: 'é'")), edited(("title: X", "title: 'é'"))),
        (edited(("title: X\n", "titel: X\r\n")), edited(("title: X\n", "title: X\r\n"))),
    ],
)
def test_what_has_one_cure_is_mended(tmp_path: Path, wrong: str, right: str) -> None:
    directory = write(tmp_path, x=wrong)

    assert mended(directory) == 1

    assert (directory / "x.yaml").read_bytes().decode() == right
    assert problems(directory) == []


def test_several_mistakes_of_one_file_are_mended_at_once(tmp_path: Path) -> None:
    wrong = edited(
        ("title: X", "titel: X"), ("  - a pistol\n", "  - a pistol\n  - a gun\n  - a gun\n")
    )
    directory = write(tmp_path, x=wrong)

    while mended(directory):
        pass

    assert (directory / "x.yaml").read_text() == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        edited(("title: X", "nonsense: X")),
        edited(("0.5", "7")),
        edited(("phrases:\n  - a gun\n  - a pistol\n", "phrases: [a gun, a gun]\n")),
        edited(("  - a pistol\n", "  - a pistol\n  - a\n    gun\n")),
        edited(("thresholds:", "contrast: [a gun]\nthresholds:")),
    ],
)
def test_what_needs_a_person_is_left_alone(tmp_path: Path, wrong: str) -> None:
    directory = write(tmp_path, x=wrong)

    assert mended(directory) == 0
    assert (directory / "x.yaml").read_text() == wrong


def test_a_problem_that_does_not_fit_the_file_changes_nothing(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    message = "unknown key 'titel'; did you mean title?"

    for problem in (
        Problem("policies/x.yaml", 2, 1, message),
        Problem("policies/x.yaml", 99, 1, message),
        Problem("policies/x.yaml", 0, 0, message),
        Problem("policies/gone.yaml", 2, 1, message),
    ):
        assert repair(directory, [problem]) == ()
    assert (directory / "x.yaml").read_text() == GOOD


def test_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    directory = write(tmp_path, x=edited(("title: X", "titel: X")))
    (directory / "x.yaml").chmod(0o640)

    mended(directory)

    assert (directory / "x.yaml").stat().st_mode & 0o777 == 0o640
