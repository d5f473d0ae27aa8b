"""Label files as people export them, and every mistake told with its line."""

from pathlib import Path

import pytest

from moderation.adapters.labels import MAX_PROBLEMS, read_labels
from moderation.core.errors import LabelsRejected
from moderation.core.labels import Label


def written(tmp_path: Path, text: str | bytes, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(LabelsRejected) as rejected:
        read_labels(path)
    return [str(problem).removeprefix(str(path)) for problem in rejected.value.problems]


def test_a_table_of_images_names_them_relative_to_itself(tmp_path: Path) -> None:
    path = written(tmp_path, "image,policy,violating\na.jpg,weapons,yes\nin/b.jpg,weapons,no\n")

    labels = read_labels(path)

    assert labels == (
        Label(str(tmp_path / "a.jpg"), "weapons", is_violating=True),
        Label(str(tmp_path / "in/b.jpg"), "weapons", is_violating=False),
    )
    assert [label.line for label in labels] == [2, 3]


def test_json_lines_say_the_same(tmp_path: Path) -> None:
    lines = (
        '{"image": "a.jpg", "policy": "weapons", "violating": true}\n'
        "\n"
        '{"content_id": "upload-1", "policy": "weapons", "violating": "no", "note": "?"}\n'
    )

    labels = read_labels(written(tmp_path, lines, "labels.jsonl"))

    assert labels == (
        Label(str(tmp_path / "a.jpg"), "weapons", is_violating=True),
        Label("upload-1", "weapons", is_violating=False, is_image=False),
    )


@pytest.mark.parametrize("answer", ["yes", "Yes", "TRUE", " true ", "1"])
def test_people_say_yes_in_many_ways(tmp_path: Path, answer: str) -> None:
    (label,) = read_labels(written(tmp_path, f"image,policy,violating\na.jpg,x,{answer}\n"))

    assert label.is_violating


def test_a_table_may_be_separated_by_semicolons(tmp_path: Path) -> None:
    text = 'image;policy;violating\n"a;b, c.jpg";weapons;no\n'

    labels = read_labels(written(tmp_path, text))

    assert labels == (Label(str(tmp_path / "a;b, c.jpg"), "weapons", is_violating=False),)


def test_what_a_spreadsheet_writes_is_read(tmp_path: Path) -> None:
    text = b'\xef\xbb\xbfNote,Violating,Policy,Image\r\n"a, ""b""\nc",no,x,"a, b.jpg"\r\n\r\n'

    (label,) = read_labels(written(tmp_path, text))

    assert label == Label(str(tmp_path / "a, b.jpg"), "x", is_violating=False)


def test_a_table_may_hold_images_and_ids(tmp_path: Path) -> None:
    text = "image,content_id,policy,violating\na.jpg,,x,no\n,upload-1,x,yes\n"

    labels = read_labels(written(tmp_path, text))

    assert [label.is_image for label in labels] == [True, False]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("a.jpg,x", ":2:1: has 2 columns, the header has 3"),
        ("a.jpg,x,maybe", ":2:1: violating: must be yes or no, got 'maybe'"),
        ("a.jpg,x,", ":2:1: violating: must be yes or no, got nothing"),
        ("a.jpg,,no", ":2:1: policy: must be a printable text, got nothing"),
        (",x,no", ":2:1: must have an image or a content_id, and not both"),
        ("a\x1b.jpg,x,no", ":2:1: image: must be a printable text, got 'a\\x1b.jpg'"),
        ('"a.jpg,x,no', ": line 2: is not valid CSV: unexpected end of data"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(tmp_path: Path, row: str, told: str) -> None:
    assert problems_of(written(tmp_path, f"image,policy,violating\n{row}\n")) == [told]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", ":1:1: is not valid JSON: Expecting property name"),
        pytest.param("[" * 100_000, ":1:1: is not valid JSON: ", id="nested deeply"),
        ("[1]", ":1:1: must be a JSON object"),
        ('{"image": 5, "policy": "x", "violating": true}', ":1:1: image: must be a printable text"),
        ('{"image": "a.jpg", "policy": "x", "violating": 2}', ":1:1: violating: must be yes or no"),
        ('{"image": "a.jpg", "content_id": "a"}', ":1:1: must have an image or a content_id"),
    ],
)
def test_a_wrong_object_is_told_with_its_line(tmp_path: Path, line: str, told: str) -> None:
    (problem,) = problems_of(written(tmp_path, line, "labels.jsonl"))

    assert problem.startswith(told)


def test_one_content_labelled_twice_is_not_twice_the_evidence(tmp_path: Path) -> None:
    rows = "a.jpg,x,no\na.jpg,y,no\na.jpg,x,yes\n"

    problems = problems_of(written(tmp_path, f"image,policy,violating\n{rows}"))

    assert problems == [":4:1: the same content and policy are on line 2; remove one"]


def test_every_problem_is_told_up_to_a_limit(tmp_path: Path) -> None:
    rows = "a.jpg,x,maybe\n" * (MAX_PROBLEMS + 7)

    problems = problems_of(written(tmp_path, f"image,policy,violating\n{rows}"))

    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1] == ": has 7 more problems; mend these first"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("labels.csv", "", ": line 1: must name the columns image (or content_id), policy"),
        ("labels.csv", "image,policy\n", ": line 1: must name the columns"),
        ("labels.csv", "image,image,policy,violating\n", ": line 1: names the columns ['image'] "),
        ("labels.csv", "image,policy,violating\n", ": holds no label"),
        ("labels.csv", b"image,policy\xff", ": is not UTF-8 (byte 12)"),
        ("labels.xlsx", "", ": has an unknown ending; use one of .csv, .jsonl, .ndjson"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(
    tmp_path: Path, name: str, content: str | bytes, told: str
) -> None:
    (problem,) = problems_of(written(tmp_path, content, name))

    assert problem.startswith(told)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "no.csv") == [": cannot be read: No such file or directory"]


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    with path.open("wb") as file:
        file.truncate(2**29)  # sparse: it takes no room on the disk

    (problem,) = problems_of(path)

    assert problem.startswith(": is larger than")
