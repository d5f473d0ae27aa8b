"""`moderation calibrate`, run as a user would: refusals, proofs, files, and what became stale."""

import asyncio
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.corpus_file import save_corpus
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.registry import find_bundle
from moderation.core.corpus import Corpus
from tests.cli.command import Ended, moderation

ROOT = Path(__file__).parents[2]
LABELS = ROOT / "samples" / "calibration" / "labels.csv"
EASY = ("--target", "max_fpr=0.2", "--target", "min_recall=0.7")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    return shutil.copytree(ROOT / "samples" / "calibration" / "policies", tmp_path / "policies")


def calibration_in(policies: Path) -> Path:
    (path,) = policies.glob("calibration/*/animals.json")
    return path


async def calibrated(policies: Path, *flags: str, labels: Path = LABELS) -> Ended:
    return await moderation("calibrate", labels, "--policies", policies, *flags)


async def test_what_the_samples_can_prove_is_proved_and_the_rest_refused(policies: Path) -> None:
    ended = await calibrated(policies, *EASY, "--target", "max_fpr=0.01")

    assert ended.exit_code == 1, ended.err
    assert "0 of 18" in ended.out
    assert "animals: refused: max_fpr: 0.01 needs at least 299 benign contents; got 18" in ended.out
    file = json.loads(calibration_in(policies).read_text())
    assert file["labels"] == {"violating": 12, "benign": 18}
    assert [one["target"] for one in file["thresholds"]] == [{"max_fpr": 0.2}, {"min_recall": 0.7}]


async def test_a_calibration_is_reproduced_to_the_byte(policies: Path) -> None:
    await calibrated(policies, *EASY)
    first = calibration_in(policies).read_bytes()

    again = await calibrated(policies, *EASY)

    assert again.exit_code == 0, again.err
    assert calibration_in(policies).read_bytes() == first


async def test_a_calibrated_policy_judges_by_probability(policies: Path) -> None:
    picture = ROOT / "samples" / "horses.jpg"
    before = await moderation("check", picture, "--policies", policies, "--all", "--json")
    await calibrated(policies)

    after = await moderation("check", picture, "--policies", policies, "--all", "--json")

    (was,), (now,) = (json.loads(one.out)["verdicts"] for one in (before, after))
    assert not was.get("calibrated", False)
    assert now["calibrated"]
    assert now["score"] != was["score"]


async def test_a_reworded_policy_makes_its_calibration_stale(policies: Path) -> None:
    await calibrated(policies)
    good = await moderation("calibrate", "--check", "--policies", policies)
    animals = policies / "animals.yaml"
    animals.write_text(animals.read_text().replace("- a horse", "- a donkey"))

    stale, checked = await asyncio.gather(
        moderation("calibrate", "--check", "--policies", policies),
        moderation("check", ROOT / "samples" / "horses.jpg", "--policies", policies),
    )

    assert (good.exit_code, stale.exit_code) == (0, 1)
    assert "animals: is stale" in stale.out
    assert checked.exit_code == 78
    assert "is stale" in checked.err


async def test_content_ids_mean_stored_embeddings(policies: Path, tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    manifest = Manifest.load(find_bundle("starter"))
    rows = generator.normal(size=(31, manifest.dim))
    rows[:, 0] += np.where(np.arange(31) % 2, 3.0, -3.0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    contents = [(f"upload-{n}", row[None].astype(np.float32)) for n, row in enumerate(rows)]
    stored = tmp_path / "recent.npz"
    corpus = Corpus.from_contents(contents, dim=manifest.dim)
    save_corpus(stored, corpus, encoder_id=manifest.encoder_id)
    labels = tmp_path / "labels.jsonl"
    lines = (
        {"content_id": f"upload-{n}", "policy": "animals", "violating": n % 2 == 1}
        for n in range(30)
    )
    labels.write_text("\n".join(map(json.dumps, lines)))

    with_file, without = await asyncio.gather(
        calibrated(policies, "--embeddings", str(stored), "--dry-run", labels=labels),
        calibrated(policies, labels=labels),
    )

    assert "animals  15         15" in with_file.out
    assert without.exit_code == 66
    assert "labels.jsonl:1:1: 'upload-0' cannot be used: no embedding of it is st" in without.err


async def test_a_report_is_written_and_a_dry_run_writes_no_calibration(
    policies: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.html"

    ended = await calibrated(policies, "--dry-run", "--html", str(report))

    assert ended.exit_code == 0, ended.err
    assert "<h2>animals</h2>" in report.read_text()
    assert not (policies / "calibration").exists()


@pytest.mark.parametrize(
    ("rows", "exit_code", "told"),
    [
        ("a.jpg,animals,maybe", 66, "labels.csv:2:1: violating: must be yes or no"),
        ("a.jpg,animal,yes", 66, "labels.csv:2:1: there is no policy 'animal'; known: animals"),
        ("a.jpg,animals,yes", 66, "a.jpg' cannot be used: No such file or directory"),
    ],
)
async def test_wrong_labels_end_the_command_with_their_lines(
    policies: Path, tmp_path: Path, rows: str, exit_code: int, told: str
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"image,policy,violating\n{rows}\n")

    ended = await calibrated(policies, labels=labels)

    assert ended.exit_code == exit_code
    assert told in ended.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "give a file of labels, or --check and none"),
        ((str(LABELS), "--check"), "give a file of labels, or --check and none"),
        ((str(LABELS), "--target", "max_fpr=1.5"), "write max_fpr=RATE or min_recall=RATE"),
        ((str(LABELS), "--target", "recall=0.5"), "write max_fpr=RATE or min_recall=RATE"),
    ],
)
async def test_a_wrong_command_line_says_what_is_right(
    arguments: tuple[str, ...], told: str
) -> None:
    ended = await moderation("calibrate", *arguments)

    assert ended.exit_code == 64
    assert told in ended.err


async def test_a_copy_under_another_name_is_no_more_evidence(
    policies: Path, tmp_path: Path
) -> None:
    samples = shutil.copytree(ROOT / "samples", tmp_path / "samples")
    labels = samples / "calibration" / "labels.csv"
    shutil.copy(samples / "horses.jpg", samples / "horses-again.jpg")
    lines = labels.read_text().splitlines()
    (horses,) = (line for line in lines if "/horses.jpg" in line)
    labels.write_text("\n".join([*lines, horses.replace("/horses.jpg", "/horses-again.jpg")]))

    ended = await calibrated(policies, *EASY, labels=labels)

    assert ended.exit_code == 0, ended.err
    told = f"line {len(lines) + 1}, the same as line {lines.index(horses) + 1}"
    assert "1 label is of a picture that was labelled before" in ended.out
    assert told in " ".join(ended.out.split())
    file = json.loads(calibration_in(policies).read_text())
    assert file["labels"] == {"violating": 12, "benign": 18}
