"""Calibration files: what is written is read again, and what is wrong is refused by name."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.adapters.calibration_files import MAX_FILE_BYTES, CalibrationFiles, directory_of
from moderation.core.calibration import (
    Calibration,
    IsotonicCalibration,
    PolicyCalibration,
    SolvedThreshold,
    TargetKind,
    ThresholdTarget,
)
from moderation.core.errors import PolicySetRejected
from tests.adapters.users import an_open_directory, an_ordinary_user
from tests.builders import SCALE

ENCODER = "e" * 64
PLATT = PolicyCalibration(
    policy_id="weapons",
    encoder_id=ENCODER,
    policy_hash="f" * 64,
    fit=Calibration(bias=6.25, temperature=0.125),
    positives=120,
    negatives=900,
    solved=(
        SolvedThreshold(ThresholdTarget(TargetKind.MAX_FPR, 0.005), 0.731, 0.00332, 0, 900),
        SolvedThreshold(ThresholdTarget(TargetKind.MIN_RECALL, 0.9), 0.25, 0.918, 4, 120),
    ),
)
ISOTONIC = replace(PLATT, fit=IsotonicCalibration(((-3.5, 0.01), (0.0, 0.5), (2.25, 0.99))))


def files(tmp_path: Path) -> CalibrationFiles:
    return CalibrationFiles(tmp_path, SCALE)


def path_of(tmp_path: Path) -> Path:
    return directory_of(tmp_path, ENCODER) / "weapons.json"


def problems_of(tmp_path: Path) -> list[str]:
    with pytest.raises(PolicySetRejected) as rejected:
        files(tmp_path).load(ENCODER)
    return [str(problem) for problem in rejected.value.problems]


def edited(tmp_path: Path, edit: Callable[[dict[str, Any]], object]) -> str:
    """What is said of a good file after an edit."""
    path = files(tmp_path).save(PLATT)
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
    (problem,) = problems_of(tmp_path)
    return problem.removeprefix(f"calibration/{ENCODER}/weapons.json: ")


@pytest.mark.parametrize("calibration", [PLATT, ISOTONIC], ids=["platt", "isotonic"])
def test_what_is_written_is_read_again(tmp_path: Path, calibration: PolicyCalibration) -> None:
    path = files(tmp_path).save(calibration)

    assert path == path_of(tmp_path)
    assert files(tmp_path).load(ENCODER) == {"weapons": calibration}


@given(st.floats(-1e6, 1e6), st.floats(1e-9, 1e6), st.floats(0.0, 1.0))
def test_no_digit_is_lost(
    tmp_path_factory: pytest.TempPathFactory, bias: float, temperature: float, threshold: float
) -> None:
    tmp_path = tmp_path_factory.mktemp("policies")
    solved = replace(PLATT.solved[0], threshold=threshold)
    calibration = replace(PLATT, fit=Calibration(bias, temperature), solved=(solved,))

    files(tmp_path).save(calibration)

    assert files(tmp_path).load(ENCODER) == {"weapons": calibration}


def test_a_calibration_is_written_for_people_to_review(tmp_path: Path) -> None:
    text = files(tmp_path).save(ISOTONIC).read_text()

    assert "      [0.0, 0.5],\n      [2.25, 0.99]\n" in text
    assert text.endswith("}\n")


def test_the_same_calibration_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    first = files(tmp_path).save(PLATT).read_bytes()
    second = files(tmp_path).save(replace(PLATT)).read_bytes()

    assert first == second
    assert os.listdir(directory_of(tmp_path, ENCODER)) == ["weapons.json"]


def test_without_calibrations_there_are_none(tmp_path: Path) -> None:
    assert files(tmp_path).load(ENCODER) == {}
    assert files(tmp_path).encoder_ids() == []


def test_calibrations_of_other_encoders_are_left_alone(tmp_path: Path) -> None:
    files(tmp_path).save(replace(PLATT, encoder_id="another"))

    assert files(tmp_path).load(ENCODER) == {}
    assert files(tmp_path).encoder_ids() == ["another"]


def test_hidden_files_and_others_are_left_alone(tmp_path: Path) -> None:
    files(tmp_path).save(PLATT)
    for name in (".weapons.json.new", "README.md", ".hidden.json"):
        (directory_of(tmp_path, ENCODER) / name).write_text("noise")

    assert set(files(tmp_path).load(ENCODER)) == {"weapons"}


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda file: file.update(labls=1), "labls: Extra inputs are not permitted"),
        (lambda file: file.pop("policy_hash"), "policy_hash: Field required"),
        (lambda file: file.update(format=2), "format: Input should be 1"),
        (lambda file: file.update(policy="gore"), "is for policy 'gore' and encoder 'eee"),
        (lambda file: file.update(encoder_id="x"), "is for policy 'weapons' and encoder 'x'"),
        (lambda file: file.pop("platt"), "must have one of platt and isotonic"),
        (
            lambda file: file.update(isotonic={"points": [[0, 0], [1, 1]]}),
            "must have one of platt and isotonic",
        ),
        (lambda file: file["platt"].update(temperature=0), "platt.temperature: Input should be gr"),
        (lambda file: file["platt"].update(bias="7"), "platt.bias: Input should be a valid number"),
        (lambda file: file["labels"].update(benign=-1), "labels.benign: Input should be greater"),
        (
            lambda file: file["raw_score"].update(scale=99.0),
            "was fitted to raw scores with scale=99.0 contrast_aggregation='mean', and the encoder",
        ),
        (
            lambda file: file["thresholds"][0].update(bound=0.5),
            "a bound of 0.5 does not fulfil max_fpr: 0.005",
        ),
        (
            lambda file: file["thresholds"][0].update(target={"max_fnr": 0.1}),
            "thresholds.0.target.max_fnr.[key]: Input should be 'max_fpr' or 'min_recall'",
        ),
        (lambda file: file["thresholds"][1].update(errors=121), "121 errors of 120 cannot be"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    tmp_path: Path, edit: Callable[[dict[str, Any]], object], told: str
) -> None:
    assert edited(tmp_path, edit).startswith(told)


def test_a_line_that_falls_is_refused(tmp_path: Path) -> None:
    path = files(tmp_path).save(ISOTONIC)
    path.write_text(path.read_text().replace("0.99", "0.2"))

    assert problems_of(tmp_path)[0].endswith("must rise; it does not after raw score 0.0")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "is not valid JSON: Expecting property name"),
        (b"[" * 100_000, "is not valid JSON: "),
        (b"\xff", "is not valid JSON: 'utf-8' codec can't decode"),
        (b'{"format": 1, "format": 1}', "is not valid JSON: a key stands twice: format, format"),
        (b"[]", ": Input should be an object"),
        (b" " * (MAX_FILE_BYTES + 1), "is too large; at most 1048576 bytes are allowed"),
    ],
    ids=["half", "nested", "binary", "twice", "list", "large"],
)
def test_a_broken_file_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    files(tmp_path).save(PLATT).write_bytes(content)

    (problem,) = problems_of(tmp_path)
    assert problem.startswith(f"calibration/{ENCODER}/weapons.json: {told}")


def test_every_broken_file_is_told(tmp_path: Path) -> None:
    for policy_id in ("a", "b"):
        files(tmp_path).save(replace(PLATT, policy_id=policy_id)).write_text("{}")

    names = [problem.split(":")[0] for problem in problems_of(tmp_path)]
    assert names == [f"calibration/{ENCODER}/{policy_id}.json" for policy_id in ("a", "b")]


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    files(policies).save(PLATT).rename(tmp_path / "elsewhere.json")
    path_of(policies).symlink_to(tmp_path / "elsewhere.json")

    (problem,) = problems_of(policies)
    assert "leads out of the policies" in problem


def test_a_link_within_the_policies_is_followed_as_config_maps_need(tmp_path: Path) -> None:
    files(tmp_path).save(PLATT).rename(tmp_path / "..data.json")
    path_of(tmp_path).symlink_to(tmp_path / "..data.json")

    assert files(tmp_path).load(ENCODER) == {"weapons": PLATT}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    path_of(tmp_path).parent.mkdir(parents=True)
    os.mkfifo(path_of(tmp_path))

    assert problems_of(tmp_path) == [f"calibration/{ENCODER}/weapons.json: is not a file"]


def test_a_folder_that_may_not_be_read_is_told() -> None:
    with an_open_directory() as policies:
        folder = directory_of(policies, ENCODER)
        folder.mkdir(parents=True)
        os.chmod(folder, 0o000)
        with an_ordinary_user():
            (problem,) = problems_of(policies)
        os.chmod(folder, 0o755)

    assert problem.endswith("cannot be read as a directory: Permission denied")


def test_a_link_to_nowhere_is_refused(tmp_path: Path) -> None:
    path_of(tmp_path).parent.mkdir(parents=True)
    path_of(tmp_path).symlink_to("nowhere")

    (problem,) = problems_of(tmp_path)
    assert problem.endswith("cannot be read: No such file or directory")
