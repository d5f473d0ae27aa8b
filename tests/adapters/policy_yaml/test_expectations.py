"""Files of policy tests are read whole, and every mistake is told with its place."""

from pathlib import Path

import pytest

from moderation.adapters.policy_yaml.expectations import read_policy_tests
from moderation.core.errors import PolicySetRejected
from moderation.core.policy import Action
from moderation.core.policy_tests import Expectation, PolicyTest, ScoreRange, Subject, SubjectKind

ROOT = Path(__file__).parents[3]


def write(tmp_path: Path, text: str, name: str = "x.yaml") -> Path:
    directory = tmp_path / "tests"
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    return directory


def problems(directory: Path) -> list[str]:
    with pytest.raises(PolicySetRejected) as caught:
        read_policy_tests([directory])
    return [str(problem) for problem in caught.value.problems]


def test_every_key_reaches_the_test(tmp_path: Path) -> None:
    directory = write(
        tmp_path,
        """\
        profile: kids
        folder: ../pictures
        pictures:
          gun.jpg:
            action: [review, block]
            policy: weapons
            flagged_by: weapons
            not_flagged_by: [pets, alcohol]
            scores: {weapons: {min: 0.5, max: 0.9}, pets: {max: 0.1}}
            needs_clip: true
        texts:
          a cup of tea: {action: allow}
        embeddings:
          "17": {not_flagged_by: [weapons]}
        """,
    )

    picture, text, embedding = read_policy_tests([directory])

    assert picture == PolicyTest(
        file="tests/x.yaml",
        line=4,
        column=11,
        subject=Subject(SubjectKind.PICTURE, str(directory / "../pictures/gun.jpg")),
        expectation=Expectation(
            actions=frozenset({Action.REVIEW, Action.BLOCK}),
            policy_id="weapons",
            flagged_by=("weapons",),
            not_flagged_by=("pets", "alcohol"),
            scores={"weapons": ScoreRange(0.5, 0.9), "pets": ScoreRange(0.0, 0.1)},
            needs_clip=True,
        ),
        profile="kids",
    )
    assert text.subject == Subject(SubjectKind.TEXT, "a cup of tea")
    assert (embedding.subject, embedding.line) == (Subject(SubjectKind.EMBEDDING, "17"), 14)


def test_files_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", ".hidden.yaml", "notes.txt"):
        directory = write(tmp_path, f"texts: {{{name[0]}: {{action: allow}}}}", name)

    assert [test.subject.name for test in read_policy_tests([directory])] == ["a", "b"]


def test_a_file_alone_is_read(tmp_path: Path) -> None:
    directory = write(tmp_path, "texts: {a: {action: allow}}")

    assert len(read_policy_tests([directory / "x.yaml"])) == 1


def test_the_shipped_tests_are_read() -> None:
    assert len(read_policy_tests([ROOT / "policies" / "tests"])) == 30


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "tests/x.yaml: the file is empty"),
        ("texts: [", "tests/x.yaml:1:9: is not valid YAML"),
        ("pictrues: {}", "tests/x.yaml:1:1: unknown key 'pictrues'; did you mean pictures?"),
        ("texts: {a: {acton: allow}}", "tests/x.yaml:1:13: texts.a: unknown key 'acton'"),
        (
            "texts: {a: {action: alow}}",
            "tests/x.yaml:1:21: texts.a.action: must be one of allow, review, block, got 'alow'; "
            "did you mean allow?",
        ),
        ("texts: {a: {action: []}}", "tests/x.yaml:1:21: texts.a.action: must be one of"),
        ("texts: {a: {policy: No}}", "tests/x.yaml:1:21: texts.a.policy: must be lower-case"),
        (
            "texts: {a: {scores: {b: {min: 2}}}}",
            "tests/x.yaml:1:31: texts.a.scores.b.min: must be between 0 and 1, got 2",
        ),
        (
            "texts: {a: {scores: {b: {min: 0.6, max: 0.5}}}}",
            "tests/x.yaml:1:25: texts.'a'.scores.b: min is above max",
        ),
        ("texts: {a: {}, a: {}}", "tests/x.yaml:1:16: the key 'a' is already on line 1"),
        ("texts: &x {}", "tests/x.yaml:1:8: the anchor &x is not allowed"),
        (
            "texts:\n  a lion: {}",
            "tests/x.yaml:2:3: texts.'a lion': nothing is expected of it; write one of action, "
            "policy, flagged_by, not_flagged_by, scores",
        ),
        ("texts: {a: {needs_clip: true}}", "tests/x.yaml:1:9: texts.a: nothing is expected"),
        ("texts: {a: {flagged_by: []}}", "tests/x.yaml:1:9: texts.a: nothing is expected"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, text: str, told: str) -> None:
    (problem,) = problems(write(tmp_path, text))

    assert problem.startswith(told)


def test_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, "a: 1", "a.yaml")
    directory = write(tmp_path, "b: 1", "b.yaml")

    assert [problem.split(":")[0] for problem in problems(directory)] == [
        "tests/a.yaml",
        "tests/b.yaml",
    ]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    write(tmp_path, "").joinpath("x.yaml").write_bytes(b"texts: \xff")

    (problem,) = problems(tmp_path / "tests")

    assert problem == "tests/x.yaml:1:8: byte 0xff is not UTF-8; save the file as UTF-8"
