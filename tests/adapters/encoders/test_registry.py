"""Finding a bundle, and checking it before anything of it is loaded."""

from pathlib import Path

import pytest

from moderation.adapters.encoders.devices import Tuning
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.registry import bundled_names, find_bundle, load_encoder
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import flip_a_bit, write_bundle


def load(name_or_path: str) -> OnnxDualEncoder:
    return load_encoder(name_or_path, device="cpu", tuning=Tuning(threads=1))


def test_the_starter_is_bundled() -> None:
    assert "starter" in bundled_names()
    assert find_bundle("starter").is_dir()


def test_a_bundle_is_found_by_its_path(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path / "mine")

    assert load(str(tmp_path / "mine")).info.encoder_id == manifest.encoder_id


def test_a_path_is_not_looked_for_among_the_bundled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BundleRejected):
        find_bundle("../bundles/starter")


@pytest.mark.parametrize("name", ["none", "", ".", "/", "../..", "no/such/place"])
def test_an_unknown_bundle_is_refused_with_the_names_there_are(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(BundleRejected, match=r"no bundle has this name.*known: starter"):
        find_bundle(name)


def test_a_wrong_manifest_rejects_the_bundle(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")

    with pytest.raises(BundleRejected, match=r"manifest\.json: .*name: Field required"):
        load(str(tmp_path))


@pytest.mark.parametrize("file", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_an_altered_file_rejects_the_bundle_before_it_is_loaded(tmp_path: Path, file: str) -> None:
    write_bundle(tmp_path)
    flip_a_bit(tmp_path / file)

    with pytest.raises(BundleRejected, match="was altered or not copied whole"):
        load(str(tmp_path))
