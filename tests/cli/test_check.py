"""`moderation check` with the bundled encoder; the thresholds decide, whatever it sees."""

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.command import PYTHONPATH, Ended, moderation

POLICY = """
id: anything
title: Anything at all
phrases: [a thing]
thresholds: {{review: {review}, block: {block}}}
"""


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    Image.linear_gradient("L").convert("RGB").save(path)
    return path


def cut_short(picture: Path, copy: Path) -> None:
    copy.write_bytes(picture.read_bytes()[:300])


def policies(tmp_path: Path, *, review: float, block: float) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "anything.yaml").write_text(POLICY.format(review=review, block=block))
    return directory


async def check(directory: Path, *arguments: str | Path) -> Ended:
    return await moderation("check", "--policies", directory, "--device", "cpu", *arguments)


@pytest.mark.parametrize(
    ("review", "block", "exit_code", "action"),
    [(1.0, 1.0, 0, "allow"), (0.0, 1.0, 1, "review"), (0.0, 0.0, 2, "block")],
)
async def test_the_decision_is_shown_and_is_the_exit_code(
    tmp_path: Path, photo: Path, review: float, block: float, exit_code: int, action: str
) -> None:
    ended = await check(policies(tmp_path, review=review, block=block), photo)

    assert ended.err == ""
    assert ended.exit_code == exit_code
    _, row = ended.out.splitlines()
    assert row.split()[:3] == [str(photo), action, "anything"]
    assert row.endswith(" ms")


async def test_a_broken_file_is_told_and_the_rest_is_judged(tmp_path: Path, photo: Path) -> None:
    cut_short(photo, tmp_path / "broken.png")
    directory = policies(tmp_path, review=1.0, block=1.0)

    ended = await check(directory, "--json", "--all", tmp_path)

    lines = {Path(line["picture"]).name: line for line in map(json.loads, ended.out.splitlines())}
    assert lines["photo.jpg"]["action"] == "ACTION_ALLOW"
    assert lines["broken.png"]["action"] == "ACTION_REVIEW"
    assert lines["broken.png"]["failure"]["code"] == "FAILURE_CODE_TRUNCATED"
    assert ended.exit_code == 1


async def test_every_mistake_in_the_policies_is_told_with_its_place(
    tmp_path: Path, photo: Path
) -> None:
    directory = policies(tmp_path, review=2.0, block=1.0)
    (directory / "other.yaml").write_text("id: other\nunknown: 1\n")

    ended = await check(directory, photo)

    assert ended.exit_code == 78
    assert ended.out == ""
    assert "anything.yaml:5:" in ended.err
    assert "other.yaml:2:" in ended.err


async def test_a_directory_without_policies_is_told_with_its_whole_path(
    tmp_path: Path, photo: Path
) -> None:
    missing = tmp_path / "nowhere" / "policies"

    ended = await check(missing, photo)

    assert ended.exit_code == 78
    assert f"looked for in {missing}; set --policies or MODERATION_POLICIES__DIR" in ended.err


async def test_an_encoder_that_is_not_there_is_told(tmp_path: Path, photo: Path) -> None:
    directory = policies(tmp_path, review=1.0, block=1.0)

    ended = await check(directory, "--encoder", "nope", photo)

    assert ended.exit_code == 78
    assert "nope" in ended.err


async def test_without_onnxruntime_the_choice_is_explained(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('not installed')")

    ended = await moderation("check", photo, env={"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"})

    assert ended.exit_code == 78
    assert "pip install moderation[cpu]" in ended.err
    assert "pip install moderation[gpu]" in ended.err
