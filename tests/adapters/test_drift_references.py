"""References as files: what was written is read, and what is wrong is told by its file."""

import json
from pathlib import Path
from typing import Any

import pytest

from moderation.adapters.drift_references import DriftReferences, references_of
from tests.core.test_drift import a_reference

ENCODER = "fake-encoder"


@pytest.fixture
def store(tmp_path: Path) -> DriftReferences:
    return DriftReferences(tmp_path)


def test_what_was_written_is_read(store: DriftReferences, tmp_path: Path) -> None:
    path = store.save(a_reference())
    store.save(a_reference(policy_id="gore"))

    read = store.load(ENCODER)

    assert path == references_of(tmp_path, ENCODER) / "weapons.json"
    assert read.by_policy == {"gore": a_reference(policy_id="gore"), "weapons": a_reference()}
    assert read.problems == ()


def test_there_need_not_be_any(store: DriftReferences) -> None:
    assert store.load(ENCODER).by_policy == {}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format": 2}, "format: Input should be 1"),
        ({"edges": [2.0, 1.0]}, "edges must be finite and rise"),
        ({"edges": [None, 1.0]}, "edges.0: "),
        ({"policy": "gore"}, "is of another policy or encoder"),
        ({"encoder_id": "other"}, "is of another policy or encoder"),
        ({"more": 1}, "more: Extra inputs are not permitted"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_and_hides_no_other(
    store: DriftReferences, changes: dict[str, Any], told: str
) -> None:
    store.save(a_reference(policy_id="gore"))
    path = store.save(a_reference())
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    read = store.load(ENCODER)

    assert list(read.by_policy) == ["gore"]
    (problem,) = read.problems
    assert problem.startswith(f"{path}: ")
    assert told in problem


def test_what_is_no_file_of_ours_is_told(store: DriftReferences, tmp_path: Path) -> None:
    directory = references_of(tmp_path, ENCODER)
    (directory / "folder.json").mkdir(parents=True)
    (directory / "torn.json").write_text("{")
    (directory / "large.json").write_bytes(b" " * 100_000)
    (directory / ".hidden.json").write_text("{")
    (directory / "readme.txt").write_text("not ours")

    problems = store.load(ENCODER).problems

    assert [one.rpartition("/")[2].split(":")[0] for one in problems] == [
        *("folder.json", "large.json", "torn.json")
    ]
