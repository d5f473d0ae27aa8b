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


def test_other_marks_that_end_a_line_in_python_end_none_in_yaml(tmp_path: Path) -> None:
    odd = "description: a\x85b\u2028c\n"
    right = edited(("title: X\n", f"title: X\n{odd}"))
    wrong = right.replace("  - a gun\n", "  - a gun\n  - a gun\n").replace("title", "titel")
    directory = write(tmp_path, x=wrong)

    assert mended(directory) == 2

    assert (directory / "x.yaml").read_bytes().decode() == right


def test_lines_that_end_as_on_a_mac_of_old_are_mended(tmp_path: Path) -> None:
    wrong = edited(("  - a gun\n", "  - a gun\n  - a gun\n")).replace("\n", "\r")
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "x.yaml").write_bytes(wrong.encode())

    assert mended(directory) == 1
    assert (directory / "x.yaml").read_bytes().decode() == GOOD.replace("\n", "\r")


def test_a_repeated_text_that_is_not_where_it_is_said_to_be_stays(tmp_path: Path) -> None:
    directory = write(tmp_path, x=GOOD)
    message = "phrases[2]: 'a gun' is already on line 4; remove one of them"

    assert repair(directory, [Problem("policies/x.yaml", 5, 5, message)]) == ()
    assert (directory / "x.yaml").read_text() == GOOD


def test_a_file_that_is_not_utf_8_is_left_alone(tmp_path: Path) -> None:
    directory = write(tmp_path, x=edited(("title: X", "titel: X")))
    content = (directory / "x.yaml").read_bytes() + b"# \xff\n"
    (directory / "x.yaml").write_bytes(content)

    assert mended(directory) == 0
    assert (directory / "x.yaml").read_bytes() == content
    assert "byte 0xff is not UTF-8; save the file as UTF-8" in problems(directory)[0]


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
        edited(("  - a pistol\n", "  - a pistol\n  - a\n\n    gun\n  - a gun  \n\n    x\n")),
        edited(("title: X\n", "title: X\nseverity: low\nseverty: high\n")),
        edited(("title: X\n", "title: X\nsevrity: low\nseverty: high\n")),
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
