"""`moderation policy test` with the bundled encoder, and a server that asks for it."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli.command import Ended, moderation
from tests.e2e.server import running_server

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    """The shipped policies, with a test of a picture and of a text."""
    directory = tmp_path / "policies"
    shutil.copytree(ROOT / "policies", directory, ignore=shutil.ignore_patterns("tests"))
    write(directory, "not_flagged_by: [weapons]")
    return directory


def write(directory: Path, of_the_text: str) -> None:
    (directory / "tests").mkdir(exist_ok=True)
    text = f"""\
folder: ../../pictures
pictures:
  green-snake.jpg: {{action: review, policy: startling-animals}}
texts:
  a photo of a kitten: {{{of_the_text}}}
"""
    (directory / "tests" / "first.yaml").write_text(text)
    pictures = directory.parent / "pictures"
    pictures.mkdir(exist_ok=True)
    shutil.copy(SAMPLES / "green-snake.jpg", pictures)


async def run(directory: Path, *arguments: str | Path) -> Ended:
    return await moderation(
        "policy", "test", "--policies", directory, "--device", "cpu", *arguments
    )


async def test_tests_that_pass_end_with_0(policies: Path) -> None:
    ended = await run(policies, "--all")

    assert (ended.exit_code, ended.err) == (0, "")
    assert f"{policies}/tests/first.yaml:3:3 " in ended.out
    assert "2 passed in" in ended.out


async def test_a_test_that_fails_ends_with_1_and_is_told_in_every_form(
    policies: Path, tmp_path: Path
) -> None:
    write(policies, "flagged_by: [weapons]")

    ended = await run(policies, "--json", "--junit", tmp_path / "report.xml")

    assert ended.exit_code == 1
    passed, failed = map(json.loads, ended.out.splitlines())
    assert passed["outcome"] == "passed"
    assert (failed["outcome"], failed["line"], failed["kind"]) == ("failed", 5, "text")
    assert failed["complaints"][0].startswith("weapons did not flag it (score 0.")
    suite = ET.parse(tmp_path / "report.xml").getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    (failure,) = suite.iter("failure")
    assert "weapons did not flag it" in (failure.get("message") or "")


async def test_stored_embeddings_stand_in_for_pictures_that_are_not_there(policies: Path) -> None:
    updated = await run(policies, "--update")
    (policies.parent / "pictures" / "green-snake.jpg").unlink()

    ended = await run(policies)

    assert updated.exit_code == 0
    assert "2 passed in" in ended.out
    assert len(list((policies / "tests").glob("*.npz"))) == 1


async def test_an_update_of_one_file_keeps_what_the_others_need(policies: Path) -> None:
    second = policies / "tests" / "second.yaml"
    second.write_text("texts: {a photo of a dog: {not_flagged_by: [weapons]}}")
    await run(policies, "--update")
    (policies.parent / "pictures" / "green-snake.jpg").unlink()

    updated = await run(policies, second, "--update")
    ended = await run(policies)

    assert updated.exit_code == 0
    assert "3 passed in" in ended.out


async def test_a_file_of_embeddings_that_is_broken_is_told(policies: Path) -> None:
    await run(policies, "--update")
    (stored,) = (policies / "tests").glob("*.npz")
    stored.write_bytes(b"PK broken")
    (policies.parent / "pictures" / "green-snake.jpg").unlink()

    ended = await run(policies)

    assert ended.exit_code == 1
    assert f"{stored}: is no file of embeddings" in ended.err
    assert "--update makes it anew" in ended.err
    assert "nor an embedding of it;" in ended.out


async def test_a_broken_picture_is_told_with_the_reason(policies: Path) -> None:
    (policies.parent / "pictures" / "green-snake.jpg").write_bytes(b"no picture")

    ended = await run(policies)

    assert ended.exit_code == 1
    assert "this picture cannot be judged: " in ended.out


async def test_without_picture_and_embedding_a_test_fails(policies: Path) -> None:
    (policies.parent / "pictures" / "green-snake.jpg").unlink()

    ended = await run(policies)

    assert ended.exit_code == 1
    assert "this picture is not there, nor an embedding of it" in ended.out
    assert "1 passed, 1 failed in" in ended.out


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["nowhere"], 66, "nowhere: there is no such file or folder"),
        (["--update", "--recent", "nowhere"], 66, "no recent embeddings"),
        (["--junit", "nowhere/report.xml"], 70, "nowhere/report.xml: No such file"),
    ],
)
async def test_what_cannot_be_run_is_told(
    policies: Path, arguments: list[str], exit_code: int, told: str
) -> None:
    ended = await run(policies, *arguments)

    assert ended.exit_code == exit_code
    assert told in ended.err


async def test_a_folder_without_tests_is_told(policies: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ended = await run(policies, tmp_path / "empty")

    assert ended.exit_code == 66
    assert "there is no test in" in ended.err


async def test_a_mistake_in_a_test_is_told_with_its_place(policies: Path) -> None:
    write(policies, "flaged_by: [weapons]")

    ended = await run(policies)

    assert ended.exit_code == 78
    assert f"{policies}/tests/first.yaml:5:25: " in ended.err
    assert "did you mean flagged_by?" in ended.err


async def test_the_shipped_policies_pass_the_shipped_tests() -> None:
    ended = await run(ROOT / "policies")

    assert ended.exit_code == 0, ended.out
    assert "29 passed, 1 skipped" in ended.out


@pytest.mark.e2e
async def test_a_server_that_requires_tests_finds_embeddings_that_come_later(
    policies: Path, tmp_path: Path
) -> None:
    await run(policies, "--update")
    (stored,) = (policies / "tests").glob("*.npz")
    away = stored.rename(tmp_path / stored.name)
    (tmp_path / "pictures" / "green-snake.jpg").rename(tmp_path / "green-snake.jpg")
    state = {"MODERATION_POLICIES__STATE_DIRECTORY": str(tmp_path / "state")}

    with running_server(policies, "--require-policy-tests", env=state, ready=False) as server:
        rejected = server.wait_for_seen("policies_rejected")
        away.rename(stored)
        (policies / "fire.yaml").touch()
        server.wait_for("serving")

    assert "this picture is not there, nor an embedding of it" in rejected["problem"]


@pytest.mark.e2e
def test_a_server_that_requires_tests_activates_only_what_passes_them(
    policies: Path, tmp_path: Path
) -> None:
    state = {"MODERATION_POLICIES__STATE_DIRECTORY": str(tmp_path / "state")}
    write(policies, "flagged_by: [weapons]")

    with running_server(policies, "--require-policy-tests", env=state, ready=False) as server:
        rejected = server.wait_for_seen("policies_rejected")
        write(policies, "not_flagged_by: [weapons]")
        server.wait_for("serving")

    assert "tests/first.yaml:5:3: the test of 'a photo of a kitten' fails" in rejected["problem"]
