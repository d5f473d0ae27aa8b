"""What was changed, removed, put in or moved is found, and named by file and line."""

from pathlib import Path

import pytest

from moderation.adapters.decision_log.lines import Kind, Position, as_json, write_line
from moderation.adapters.decision_log.segments import LogUnavailable
from moderation.adapters.decision_log.verifying import verify
from tests.adapters.decision_log.logs import SMALL, a_log, contents_in, files_of, record


@pytest.fixture
def segment(tmp_path: Path) -> Path:
    """A header and the decisions on a to e: lines 1 to 6."""
    with a_log(tmp_path) as store:
        record(store, *"abcde")
    return files_of(tmp_path)[0]


def lines_of(segment: Path) -> list[bytes]:
    return segment.read_bytes().splitlines(keepends=True)


def problems(segment: Path) -> list[str]:
    directory = segment.parent.parent
    return [one.removeprefix(str(segment)) for one in verify(directory).problems]


def test_a_whole_log_has_no_problems(segment: Path) -> None:
    verified = verify(segment.parent.parent)

    assert verified.problems == []
    assert (verified.lines, verified.kinds[Kind.DECISION]) == (6, 5)


@pytest.mark.parametrize("number", [2, 3, 6])
def test_a_line_that_was_changed_is_named_and_the_others_stay_readable(
    segment: Path, number: int
) -> None:
    lines = lines_of(segment)
    lines[number - 1] = lines[number - 1].replace(b'"action":"ALLOW"', b'"action":"BLOCK"')
    segment.write_bytes(b"".join(lines))

    assert problems(segment) == [f":{number}: was changed: its checksum is another"]
    assert len(contents_in(segment.parent.parent)) == 4


@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_a_line_that_was_removed_is_named(segment: Path, number: int) -> None:
    lines = lines_of(segment)
    del lines[number - 1]
    segment.write_bytes(b"".join(lines))

    assert problems(segment) == [
        f":{number}: lines number {number} to {number} are missing before it"
    ]


def test_lines_that_changed_places_are_named(segment: Path) -> None:
    lines = lines_of(segment)
    lines[2], lines[3] = lines[3], lines[2]
    segment.write_bytes(b"".join(lines))

    assert problems(segment)[0] == ":3: lines number 3 to 3 are missing before it"
    assert problems(segment)[1] == ":4: is line number 3, where 5 should be: it was put in or moved"


def test_a_line_that_was_written_anew_breaks_the_chain(segment: Path) -> None:
    lines = lines_of(segment)
    forged, _ = write_line(Kind.DECISION, as_json({"action": "ALLOW"}), Position(sequence=2))
    lines[2] = forged
    segment.write_bytes(b"".join(lines))

    told = "does not continue the line before: one of them was put in"
    assert problems(segment) == [f":3: {told}", f":4: {told}"]


@pytest.mark.parametrize("place", [0, 500, 2000])
def test_a_fragment_of_other_bytes_is_named(segment: Path, place: int) -> None:
    content = bytearray(segment.read_bytes())
    content[place : place + 64] = b"\0" * 64
    segment.write_bytes(content)

    assert problems(segment)
    assert len(contents_in(segment.parent.parent)) >= 4


def test_a_file_that_is_missing_is_told(tmp_path: Path) -> None:
    with a_log(tmp_path, rules=SMALL) as store:
        for content_id in "abc":
            record(store, content_id)
    files_of(tmp_path)[1].unlink()

    (problem,) = verify(tmp_path).problems

    following = files_of(tmp_path)[1]
    assert problem == f"{following}: lines number 2 to 3 are missing"
    assert contents_in(tmp_path) == ["b", "c"]


def test_a_file_whose_beginning_is_missing_is_told(tmp_path: Path) -> None:
    with a_log(tmp_path, rules=SMALL) as store:
        record(store, "a")
    files_of(tmp_path)[0].unlink()

    (problem,) = verify(tmp_path).problems

    assert problem.endswith("lines number 1 to 1 are missing")


def test_the_line_that_a_server_is_writing_is_no_problem(tmp_path: Path) -> None:
    with a_log(tmp_path) as store:
        record(store, "a")
        (segment,) = files_of(tmp_path)
        with segment.open("ab") as file:
            file.write(b'{"schema":1,"seq":3')

        assert verify(tmp_path).problems == []

    assert [one.split(": ")[1] for one in verify(tmp_path).problems] == [
        "is cut short or no line of a decision log"
    ]


def test_a_directory_without_a_log_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogUnavailable, match="holds no decision log"):
        verify(tmp_path)
