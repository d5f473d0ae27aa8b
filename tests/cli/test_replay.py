"""`moderation replay`: the same answer again, or in what it differs and why."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from moderation.client import ModerationClient
from tests.adapters.decision_log.logs import a_log, read
from tests.builders import a_judgement
from tests.cli.command import Ended, moderation
from tests.e2e.server import CACHE, STATE, running_server

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CAT = ROOT / "samples" / "cat-portrait.jpg"
CATS = """\
id: cats
title: Cats
phrases: [a cat]
thresholds: {review: 0.2, block: 0.9}
"""


@dataclass
class Judged:
    """A log with a cat that was judged, a file that could not be, and what the server had."""

    home: Path
    cat: str
    junk: str

    @property
    def env(self) -> Mapping[str, str]:
        return environment(self.home)


def environment(home: Path) -> dict[str, str]:
    return {
        STATE: str(home / "state"),
        CACHE: str(home / "cache"),
        "MODERATION_DECISION_LOG__DIRECTORY": str(home / "log"),
        "MODERATION_DECISION_LOG__KEEP_EMBEDDINGS": "true",
        "MODERATION_POLICIES__DIRECTORY": str(home / "policies"),
        "MODERATION_RECENT__ENABLED": "true",
        "MODERATION_RECENT__DIRECTORY": str(home / "recent"),
    }


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    home = tmp_path_factory.mktemp("judged")
    (home / "policies").mkdir()
    (home / "policies" / "cats.yaml").write_text(CATS)
    with (
        running_server(home / "policies", "--device", "cpu", env=environment(home)) as server,
        ModerationClient(server.address) as client,
    ):
        cat = client.moderate(CAT.read_bytes(), content_id="cat").decision_id
        junk = client.moderate(b"junk", content_id="junk").decision_id
    (home / "junk").write_bytes(b"junk")
    return Judged(home, cat, junk)


@pytest.fixture
def judged(judged_once: Judged) -> Judged:
    (judged_once.home / "policies" / "cats.yaml").write_text(CATS)
    return judged_once


async def replay(judged: Judged, *arguments: str | Path, **env: str) -> Ended:
    return await moderation("replay", *arguments, env={**judged.env, **env})


async def test_the_same_answer_from_the_embedding_and_from_the_picture(judged: Judged) -> None:
    kept, seen, junk = await asyncio.gather(
        replay(judged, judged.cat),
        replay(judged, judged.cat, "--image", CAT),
        replay(judged, judged.junk, "--image", judged.home / "junk"),
    )

    for ended, origin in ((kept, "the record"), (seen, str(CAT)), (junk, "junk")):
        assert ended.exit_code == 0, ended.err
        assert ended.out.endswith("the same answer\n")
        assert origin in ended.out
    assert "recorded: REVIEW by not_an_image" in junk.out


async def test_after_an_edit_it_is_judged_by_the_policies_of_then(judged: Judged) -> None:
    stricter = CATS.replace("0.9", "0.3").replace("0.2", "0.1")
    (judged.home / "policies" / "cats.yaml").write_text(stricter)

    ended = await replay(judged, judged.cat)

    assert ended.exit_code == 0, ended.err
    assert "by the policies of now: BLOCK by cats" in ended.out


async def test_policies_that_are_not_kept_any_more_explain_another_answer(
    judged: Judged, tmp_path: Path
) -> None:
    (judged.home / "policies" / "cats.yaml").write_text(CATS.replace("0.9", "0.999"))

    ended = await replay(judged, judged.cat, **{STATE: str(tmp_path)})

    assert ended.exit_code == 1, ended.err
    assert "changed since: policy set: " in ended.out
    assert "differs: action: BLOCK, now REVIEW" in ended.out


async def test_without_policies_there_is_no_replay(judged: Judged, tmp_path: Path) -> None:
    (judged.home / "policies" / "cats.yaml").write_text("broken: [")

    ended = await replay(judged, judged.cat, **{STATE: str(tmp_path)})

    assert ended.exit_code == 78
    assert "neither policies of then nor of now can be loaded" in ended.err


async def test_without_an_embedding_or_the_picture_there_is_no_replay(
    judged: Judged, tmp_path: Path
) -> None:
    nowhere = {"MODERATION_RECENT__DIRECTORY": str(tmp_path)}
    results = await asyncio.gather(
        replay(judged, "0" * 32),
        replay(judged, judged.junk),
        replay(judged, judged.cat, "--image", judged.home / "junk"),
        replay(judged, judged.cat, "--image", tmp_path / "nowhere"),
        replay(judged, judged.cat, "--log", a_copy(judged, tmp_path / "bare"), **nowhere),
        replay(judged, judged.cat, "--log", tmp_path),
    )

    told = [(ended.exit_code, ended.err) for ended in results]
    for (code, err), (expected, text) in zip(
        told,
        [
            (66, "there is no such decision"),
            (64, "the content could not be judged (not_an_image)"),
            (64, "is another picture than was judged"),
            (66, "cannot be read"),
            (64, "no embedding of it was kept"),
            (66, "holds no decision log"),
        ],
        strict=True,
    ):
        assert code == expected, err
        assert text in err


def a_copy(judged: Judged, log: Path, *, encoder_id: str = "", profile: str = "default") -> Path:
    """A log of the decision on the cat, without the embedding, and with these changes."""
    (cat, _) = read(judged.home / "log")
    copy = a_judgement(
        "cat",
        image=CAT.read_bytes(),
        decision_id=cat.decision_id,
        encoder_id=encoder_id or cat.encoder_id,
        policy_set_version=cat.policy_set_version,
        profile=profile,
    )
    with a_log(log) as store:
        store.append([copy])
    return log


async def test_an_embedding_may_come_from_recent_contents(judged: Judged, tmp_path: Path) -> None:
    ended = await replay(judged, judged.cat, "--log", a_copy(judged, tmp_path))

    assert "from recent embeddings" in ended.out
    assert "differs: action: ALLOW, now BLOCK" in ended.out
    assert ended.exit_code == 1


async def test_another_encoder_needs_the_picture_and_is_told(
    judged: Judged, tmp_path: Path
) -> None:
    log = a_copy(judged, tmp_path, encoder_id="f" * 64)

    without, with_it = await asyncio.gather(
        replay(judged, judged.cat, "--log", log),
        replay(judged, judged.cat, "--log", log, "--image", CAT),
    )

    assert without.exit_code == 64
    assert "it was judged by encoder ffffffffffff, and this one is " in without.err
    assert with_it.exit_code == 1
    assert "changed since: encoder: ffffffffffff, now " in with_it.out


async def test_a_profile_that_is_gone_gives_no_answer(judged: Judged, tmp_path: Path) -> None:
    log = a_copy(judged, tmp_path, profile="kids")

    ended = await replay(judged, judged.cat, "--log", log)

    assert ended.exit_code == 1
    assert "replayed: no answer" in ended.out
    assert "differs: no such profile or policy" in ended.out


async def test_a_missing_key_is_told(judged: Judged, tmp_path: Path) -> None:
    missing = {"MODERATION_DECISION_LOG__DIGEST_KEY_FILE": str(tmp_path / "nowhere")}

    ended = await replay(judged, judged.cat, **missing)

    assert ended.exit_code == 78
    assert "the key cannot be read" in ended.err
