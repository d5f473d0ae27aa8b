"""`moderation policy diff` with the bundled encoder, on real pictures."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderation.adapters.policy_state import PolicyState, state_of
from moderation.core.policy import PolicySet
from moderation.service.activation import SetOrigin, activation_of
from tests.adapters.policy_yaml.writing import load
from tests.cli.command import Ended, moderation

ROOT = Path(__file__).parents[2]
SAMPLES = [ROOT / "samples" / name for name in ("green-snake.jpg", "red-crab.jpg", "horses.jpg")]


def edited(tmp_path: Path, *edits: tuple[str, str, str]) -> Path:
    """A copy of the shipped policies, with texts in files replaced."""
    directory = tmp_path / "policies"
    tmp_path.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "policies", directory)
    for name, old, new in edits:
        path = directory / f"{name}.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
    return directory


async def diff(*arguments: str | Path, tmp_path: Path) -> Ended:
    cache = {"MODERATION_POLICIES__CACHE_DIRECTORY": str(tmp_path / "cache")}
    recent = {"MODERATION_RECENT__DIRECTORY": str(tmp_path / "recent")}
    arguments = (*arguments, "--policies", ROOT / "policies", "--device", "cpu")
    return await moderation("policy", "diff", *arguments, env={**cache, **recent})


def on_samples() -> list[str | Path]:
    return [one for sample in SAMPLES for one in ("--on", sample)]


async def test_changes_and_flips_are_told_in_words(tmp_path: Path) -> None:
    new = edited(tmp_path, ("startling-animals", "{review: 0.5}", "{review: 0.3}"))

    ended = await diff(ROOT / "policies", new, *on_samples(), tmp_path=tmp_path)

    assert ended.exit_code == 0, ended.err
    assert "policy startling-animals\n  ~ thresholds.review: 0.5 -> 0.3" in ended.out
    assert "Tried on 3 contents, profile default." in ended.out
    decision = next(line for line in ended.out.splitlines() if "(decision)" in line)
    assert "33.33 % (" in decision
    assert "red-crab.jpg" in ended.out
    assert "horses.jpg" not in ended.out


async def test_a_policy_in_shadow_is_marked(tmp_path: Path) -> None:
    new = edited(
        tmp_path,
        ("startling-animals", "{review: 0.5}", "{review: 0.3}\nmode: shadow"),
        ("alcohol", "  - a cocktail\n", "  - a cocktail\n  - a cup of tea\n"),
    )

    ended = await diff(ROOT / "policies", new, *on_samples(), tmp_path=tmp_path)
    as_json = await diff(ROOT / "policies", new, "--json", *on_samples(), tmp_path=tmp_path)

    assert " startling-animals (shadow)  3 " in ended.out
    assert "alcohol (shadow)" not in ended.out
    policies = json.loads(as_json.out)["effect"]["policies"]
    assert {name: one["shadow"] for name, one in policies.items()} == {
        "alcohol": False,
        "startling-animals": True,
    }


async def test_json_tells_every_flip_and_histogram(tmp_path: Path) -> None:
    new = edited(
        tmp_path,
        ("startling-animals", "{review: 0.5}", "{review: 0.3}"),
        ("alcohol", "  - a cocktail\n", "  - a cocktail\n  - a cup of tea\n"),
    )

    ended = await diff(ROOT / "policies", new, "--json", *on_samples(), tmp_path=tmp_path)

    told = json.loads(ended.out)
    assert [one["id"] for one in told["changes"]] == ["alcohol", "startling-animals"]
    effect = told["effect"]
    assert effect["decisions"]["transitions"]["allow_to_review"] == 1
    assert {(one["content_id"], one["policy"]) for one in effect["flips"]} == {
        (str(SAMPLES[1]), None),
        (str(SAMPLES[1]), "startling-animals"),
    }
    assert sum(effect["policies"]["alcohol"]["histogram_after"]) == 3
    assert len(effect["policies"]["alcohol"]["most_moved"]) == 3
    assert effect["flips_left_out"] == 0


async def test_what_a_folder_holds_and_cannot_be_tried_is_named(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    shutil.copy(SAMPLES[0], pictures)
    (pictures / "broken.jpg").write_bytes(SAMPLES[1].read_bytes()[:400])
    (pictures / "notes.txt").write_text("for people")

    ended = await diff(ROOT / "policies", "--on", pictures, tmp_path=tmp_path)

    assert ended.exit_code == 0
    assert "Tried on 1 content" in ended.out
    assert f"moderation: {pictures}/broken.jpg: left out: the JPEG ends early" in ended.err
    assert "skipped 1 file (1 .txt)" in ended.err


async def test_sets_that_mean_the_same_flip_nothing(tmp_path: Path) -> None:
    same = edited(tmp_path, ("fire", "  - a fire\n", "  - a fire # a comment\n"))

    ended = await diff(same, *on_samples(), tmp_path=tmp_path)

    assert "Both mean the same." in ended.out
    assert "0.00 %" in ended.out


async def test_without_contents_the_changes_are_told(tmp_path: Path) -> None:
    new = edited(tmp_path, ("fire", "severity: medium", "severity: high"))

    ended = await diff(ROOT / "policies", new, tmp_path=tmp_path)

    assert "~ severity: medium -> high" in ended.out
    assert "nothing to try it on; name pictures or embeddings with --on" in ended.out


def commit(directory: Path) -> None:
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "first")):
        subprocess.run(["git", "-C", str(directory), *command], check=True)


async def test_a_git_revision_is_compared_with_the_files(tmp_path: Path) -> None:
    directory = edited(tmp_path)
    commit(directory)
    path = directory / "fire.yaml"
    path.write_text(path.read_text().replace("review: 0.6", "review: 0.7"))

    ended = await moderation(
        "policy", "diff", "HEAD", "--policies", directory, env={"MODERATION_ENCODER__DEVICE": "cpu"}
    )

    assert ended.exit_code == 0, ended.err
    assert "~ thresholds.review: 0.6 -> 0.7" in ended.out


async def test_two_files_are_compared(tmp_path: Path) -> None:
    new = edited(tmp_path, ("fire", "severity: medium", "severity: high"))

    ended = await diff(ROOT / "policies" / "fire.yaml", new / "fire.yaml", tmp_path=tmp_path)

    assert "policy fire\n  ~ severity: medium -> high\n" in ended.out


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["nowhere"], 66, "there is no such file or directory, and as a git revision"),
        ([ROOT / "policies", "--profile", "nope"], 64, "nope"),
        ([ROOT / "policies", "--on", "nowhere"], 66, "there is no such file or folder"),
        ([ROOT / "policies", "--on", "x.npz"], 66, "x.npz"),
        ([ROOT / "policies", "--recent", "nowhere"], 66, "no recent embeddings"),
    ],
)
async def test_what_cannot_be_compared_is_told(
    tmp_path: Path, arguments: list[str | Path], exit_code: int, told: str
) -> None:
    ended = await diff(*arguments, tmp_path=tmp_path)

    assert ended.exit_code == exit_code
    assert told in ended.err
    assert ended.out == ""


async def test_a_mistake_in_either_set_is_told_with_its_place(tmp_path: Path) -> None:
    broken = edited(tmp_path, ("fire", "severity: medium", "severity: medum"))

    ended = await diff(ROOT / "policies", broken, tmp_path=tmp_path)

    assert ended.exit_code == 78
    assert "policies/fire.yaml:5:11: severity" in ended.err


def keep(state: Path, policies: Path, *versions: PolicySet) -> list[str]:
    """Have these sets been active, the last one now; answers their versions."""
    keeper = PolicyState(state_of(state, policies))
    for number, one in enumerate(versions):
        now = datetime(2026, 3, 1, number, tzinfo=UTC)
        keeper.keep(one, activation_of(one, None, origin=SetOrigin.SOURCE, now=now))
    return [one.version for one in versions]


async def test_what_is_active_and_what_was_are_compared_with_the_files(tmp_path: Path) -> None:
    earlier = load(edited(tmp_path / "a", ("fire", "review: 0.6", "review: 0.5")))
    active = load(edited(tmp_path / "b", ("fire", "review: 0.6", "review: 0.55")))
    policies, state = edited(tmp_path / "c"), tmp_path / "state"
    first, _ = keep(state, policies, earlier, active)
    env = {"MODERATION_POLICIES__STATE_DIRECTORY": str(state)}

    told = [
        await moderation("policy", "diff", name, "--policies", policies, env=env)
        for name in ("active", f"version:{first[:8]}", "version:", "version:0000000000")
    ]

    assert "~ thresholds.review: 0.55 -> 0.6" in told[0].out
    assert "~ thresholds.review: 0.5 -> 0.6" in told[1].out
    assert "several versions start so" in told[2].err
    assert "no such policy set was active" in told[3].err
    assert [one.exit_code for one in told] == [0, 0, 66, 66]
