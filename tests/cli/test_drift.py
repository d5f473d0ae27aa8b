"""`moderation drift reference`: what is written, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.corpus_file import save_corpus
from moderation.adapters.drift_references import references_of
from moderation.adapters.encoders.manifest import Manifest
from moderation.core.corpus import Corpus
from tests.bundles import DIM, clip_bundle
from tests.cli.command import Ended, moderation
from tests.cli.examination.patients import policies_in

CONTENTS = 600


@pytest.fixture
def site(tmp_path: Path) -> Path:
    bundle = clip_bundle(tmp_path / "bundle")
    policies_in(tmp_path / "policies")
    vectors = np.random.default_rng(1).normal(size=(CONTENTS, DIM)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    contents = [(str(n), vector[None]) for n, vector in enumerate(vectors)]
    encoder_id = Manifest.load(bundle).encoder_id
    save_corpus(
        tmp_path / "all.npz", Corpus.from_contents(contents, dim=DIM), encoder_id=encoder_id
    )
    alike = [(name, vectors[:1]) for name, _ in contents]
    save_corpus(tmp_path / "alike.npz", Corpus.from_contents(alike, dim=DIM), encoder_id=encoder_id)
    return tmp_path


async def reference(site: Path, *arguments: str) -> Ended:
    env = {
        "MODERATION_ENCODER__BUNDLE": str(site / "bundle"),
        "MODERATION_POLICIES__DIRECTORY": str(site / "policies"),
        "MODERATION_POLICIES__CACHE_DIRECTORY": str(site / "cache"),
        "MODERATION_RECENT__DIRECTORY": str(site / "recent"),
    }
    return await moderation("drift", "reference", *arguments, env=env)


async def test_a_reference_holds_ten_equal_bins(site: Path) -> None:
    ended = await reference(site, "--on", str(site / "all.npz"))

    assert (ended.exit_code, ended.err) == (0, "")
    encoder_id = Manifest.load(site / "bundle").encoder_id
    path = references_of(site / "policies", encoder_id) / "fire.json"
    assert str(path) in ended.out
    file = json.loads(path.read_text())
    assert (len(file["edges"]), file["counts"]) == (9, [CONTENTS // 10] * 10)


async def test_what_scores_everything_alike_gets_none(site: Path) -> None:
    ended = await reference(site, "fire", "--on", str(site / "alike.npz"))

    assert ended.exit_code == 0
    assert "none: it scores everything alike" in ended.out
    assert not (site / "policies" / "drift").exists()


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        ([], 66, "0 contents are too few for a reference, drift.min_scores asks for 500"),
        (["wood"], 64, "no such active policy: wood"),
    ],
)
async def test_what_cannot_be_done_is_told(
    site: Path, arguments: list[str], exit_code: int, told: str
) -> None:
    ended = await reference(site, *arguments)

    assert ended.exit_code == exit_code
    assert told in ended.err


async def test_a_directory_that_takes_no_files_is_told(site: Path) -> None:
    (site / "policies" / "drift").write_text("no directory")

    ended = await reference(site, "--on", str(site / "all.npz"))

    assert ended.exit_code == 70
    assert str(site / "policies" / "drift") in ended.err
