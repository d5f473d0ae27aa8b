"""Where weights may come from, and what is said when they cannot be had."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from export.pretrained.errors import ExportError
from export.pretrained.source import NO_LICENSE, Checkpoint

CARD = "---\ntags:\n- license: not this\nlicense: apache-2.0\n---\nlicense: nor this\n"


def a_checkpoint(directory: Path, *files: str) -> Checkpoint:
    directory.mkdir(exist_ok=True)
    for file in files:
        (directory / file).write_bytes(b"{}")
    return Checkpoint.find(str(directory))


def test_a_directory_is_called_by_its_name(tmp_path: Path) -> None:
    found = a_checkpoint(tmp_path / "my-clip", "model.safetensors")

    assert (found.name, found.revision) == ("my-clip", "local")


def test_weights_in_several_files_are_taken(tmp_path: Path) -> None:
    a_checkpoint(tmp_path, "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "model.pt", "weights.ckpt"])
def test_a_pickle_is_refused_with_the_reason(tmp_path: Path, pickle: str) -> None:
    with pytest.raises(ExportError, match=rf"only {pickle}, a pickle.*can run any code"):
        a_checkpoint(tmp_path, pickle)


def test_a_directory_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"must be model\.safetensors; there is none"):
        a_checkpoint(tmp_path, "config.json")


def test_a_directory_has_no_revisions(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="which has no revisions"):
        Checkpoint.find(str(tmp_path), revision="main")


def test_a_name_that_is_neither_directory_nor_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="neither a directory nor a hub id"):
        Checkpoint.find(str(tmp_path / "no" / "such" / "place"))


@pytest.mark.parametrize(
    ("card", "license_name"),
    [(CARD, "apache-2.0"), ("# no front matter\nlicense: mit\n", NO_LICENSE), (None, NO_LICENSE)],
)
def test_the_license_is_the_model_cards(
    tmp_path: Path, card: str | None, license_name: str
) -> None:
    checkpoint = a_checkpoint(tmp_path, "model.safetensors")
    if card is not None:
        (tmp_path / "README.md").write_text(card)

    assert checkpoint.as_source().license == license_name


def test_a_source_carries_the_digest_of_its_weights(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path, "model.safetensors")

    digest = checkpoint.as_source().sha256

    assert digest == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


def test_a_processors_combined_file_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path, "model.safetensors")
    combined = {"processor_class": "CLIPProcessor", "image_processor": {"resample": 3}}
    (tmp_path / "processor_config.json").write_text(json.dumps(combined))

    assert checkpoint.processor_config == {"resample": 3}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path, "model.safetensors")

    with pytest.raises(ExportError, match=r"config\.json: cannot be read: No such file"):
        _ = checkpoint.config


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    checkpoint = a_checkpoint(tmp_path, "model.safetensors")
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(ExportError, match=r"config\.json: is no JSON"):
        _ = checkpoint.config


def test_offline_the_way_to_bring_a_directory_is_told(tmp_path: Path) -> None:
    finding = "from export.pretrained.source import Checkpoint; Checkpoint.find('openai/clip')"

    # A process of its own: the hub's client reads its environment once, when imported.
    found = subprocess.run(
        [sys.executable, "-c", finding],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "openai/clip: cannot be had from the hub" in found.stderr
    assert "HF_HUB_OFFLINE is set" in found.stderr
    assert "`hf download openai/clip --local-dir DIRECTORY`" in found.stderr
