"""The manifest: what it refuses, and what makes an encoder another one."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from moderation.adapters.encoders.manifest import (
    MANIFEST_NAME,
    Manifest,
    ManifestError,
    ScoreDefaults,
    Source,
)
from tests.adapters.encoders.bundles import flip_a_bit, manifest_of, write_bundle

REFUSED: dict[str, tuple[str, Any]] = {
    "format of a later version": ("format", 2),
    "missing name": ("name", None),
    "no dimension": ("dim", 0),
    "unknown precision": ("precision", "fp4"),
    "no picture size": ("image.size_px", 0),
    "unknown crop": ("image.crop", "left"),
    "crop of nothing": ("image.crop_fraction", 0.0),
    "crop of more than the picture": ("image.crop_fraction", 1.1),
    "unknown interpolation": ("image.interpolation", "nearest"),
    "graph in another directory": ("image.file", "../image.onnx"),
    "graph at an absolute place": ("text.file", "/text.onnx"),
    "hidden tokenizer": ("tokenizer.file", ".tokenizer.json"),
    "no tokens": ("text.max_tokens", 0),
    "padding below zero": ("text.pad_id", -1),
    "scale of zero": ("score.scale", 0.0),
    "scale without end": ("score.scale", float("inf")),
    "bias that is no number": ("score.bias", float("nan")),
    "temperature below zero": ("score.temperature", -1.0),
    "unknown aggregation": ("score.contrast_aggregation", "median"),
    "digest of another length": ("files.image.onnx", "abc"),
    "unknown key": ("text.maximum", 77),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path)
    return tmp_path


def edit(bundle: Path, field: str, value: object) -> None:
    path = bundle / MANIFEST_NAME
    content = json.loads(path.read_text())
    section, _, key = field.partition(".")
    if key:
        content[section][key] = value
    else:
        content[section] = value
    path.write_text(json.dumps(content))


def test_what_was_saved_is_loaded(bundle: Path) -> None:
    source = Source(name="some-package", version="1.2", license="MIT", sha256="0" * 64)
    manifest = manifest_of(bundle, sources=(source,), notice="sees colours only")

    manifest.save(bundle)

    assert Manifest.load(bundle) == manifest


@pytest.mark.parametrize(("field", "value"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_field_is_refused_by_its_name(bundle: Path, field: str, value: object) -> None:
    edit(bundle, field, value)

    with pytest.raises(ManifestError) as caught:
        Manifest.load(bundle)

    assert str(bundle / MANIFEST_NAME) in str(caught.value)
    assert field in str(caught.value)


def test_a_missing_field_is_refused_by_its_name(bundle: Path) -> None:
    path = bundle / MANIFEST_NAME
    content = json.loads(path.read_text())
    del content["text"]["max_tokens"]
    path.write_text(json.dumps(content))

    with pytest.raises(ManifestError, match=r"text\.max_tokens: Field required"):
        Manifest.load(bundle)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff\xfe", b"\x80\x04K*."])
def test_what_is_no_manifest_is_refused(bundle: Path, content: bytes) -> None:
    (bundle / MANIFEST_NAME).write_bytes(content)

    with pytest.raises(ManifestError, match=MANIFEST_NAME):
        Manifest.load(bundle)


def test_a_directory_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be read: No such file"):
        Manifest.load(tmp_path)


def test_every_part_needs_a_digest(bundle: Path) -> None:
    digests = dict(manifest_of(bundle).files)
    del digests["tokenizer.json"]

    with pytest.raises(ValidationError, match=r"files: there is no digest of tokenizer\.json"):
        manifest_of(bundle, files=digests)


def test_untouched_files_pass(bundle: Path) -> None:
    Manifest.load(bundle).verify_files(bundle)


@pytest.mark.parametrize("file", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_one_flipped_bit_is_refused_by_the_name_of_the_file(bundle: Path, file: str) -> None:
    flip_a_bit(bundle / file)

    with pytest.raises(ManifestError, match=f"{file}: its sha256 is .* the manifest says"):
        Manifest.load(bundle).verify_files(bundle)


def test_a_truncated_file_is_refused(bundle: Path) -> None:
    path = bundle / "image.onnx"
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(ManifestError, match=r"image\.onnx: its sha256 is"):
        Manifest.load(bundle).verify_files(bundle)


def test_a_missing_file_is_refused(bundle: Path) -> None:
    (bundle / "text.onnx").unlink()

    with pytest.raises(ManifestError, match=r"text\.onnx: cannot be read: No such file"):
        Manifest.load(bundle).verify_files(bundle)


def test_names_and_score_defaults_do_not_make_another_encoder(bundle: Path) -> None:
    score = ScoreDefaults(scale=100.0, bias=0.2, temperature=2.0)
    renamed = manifest_of(bundle, name="other", notice="renamed", score=score, is_starter=True)

    assert renamed.encoder_id == manifest_of(bundle).encoder_id


def test_file_names_do_not_make_another_encoder(bundle: Path) -> None:
    before = manifest_of(bundle)
    image = before.image.model_copy(update={"file": "picture.onnx"})
    files = {**before.files, "picture.onnx": before.files["image.onnx"]}

    assert manifest_of(bundle, image=image, files=files).encoder_id == before.encoder_id


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("image", {"crop_fraction": 0.9}),
        ("image", {"interpolation": "bilinear"}),
        ("image", {"crop": "squash"}),
        ("text", {"max_tokens": 5}),
        ("text", {"pad_to_max": True}),
    ],
)
def test_other_preprocessing_makes_another_encoder(
    bundle: Path, part: str, change: dict[str, object]
) -> None:
    before = manifest_of(bundle)

    after = manifest_of(bundle, **{part: getattr(before, part).model_copy(update=change)})

    assert after.encoder_id != before.encoder_id


@pytest.mark.parametrize("file", ["image.onnx", "text.onnx", "tokenizer.json"])
def test_other_weights_make_another_encoder(bundle: Path, file: str) -> None:
    before = manifest_of(bundle)
    flip_a_bit(bundle / file)

    assert manifest_of(bundle).encoder_id != before.encoder_id
