"""Measuring a bundle against its original, and what the report of it decides."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from moderation.adapters.encoders.manifest import PARITY_FILE, Manifest
from moderation.adapters.encoders.parity import (
    LIMITS,
    Check,
    ParityReport,
    Reference,
    judge,
    kendall_tau,
    measure,
)
from moderation.adapters.encoders.registry import load_encoder
from moderation.core.content import Embeddings, Pixels
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import passing_report, write_bundle

RED, GREEN, BLUE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
PERFECT = dict.fromkeys(LIMITS, 1.0)


class ColourEncoder:
    """Mean colours, blended by `leak` with the mean of the whole batch."""

    def __init__(self, *, leak: float = 0.0, turn: float = 0.0) -> None:
        self._leak = leak
        self._turn = turn

    def encode_images(self, pixels: Pixels) -> Embeddings:
        means = pixels.mean(axis=(1, 2)).astype(np.float32)
        return unit(means + self._leak * means.mean(axis=0) + self._turn * np.roll(means, 1, 1))

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return unit(np.array([COLOURS[text] for text in texts], dtype=np.float32))


def unit(rows: NDArray[np.float32]) -> Embeddings:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def a_square(colour: Sequence[int]) -> Pixels:
    return np.full((1, 8, 8, 3), colour, dtype=np.uint8)


def a_reference() -> Reference:
    pixels = np.concatenate([a_square(colour) for colour in (RED, GREEN, (200, 100, 0))])
    return Reference(
        pictures=[one.tobytes() for one in pixels],
        texts=list(COLOURS),
        pixels=pixels,
        image_embeddings=ColourEncoder().encode_images(pixels),
        text_embeddings=ColourEncoder().encode_texts(list(COLOURS)),
    )


def decode(picture: bytes) -> Pixels:
    return np.frombuffer(picture, dtype=np.uint8).reshape(1, 8, 8, 3)


def decode_darker(picture: bytes) -> Pixels:
    return decode(picture) // 2


def test_the_original_itself_measures_1_everywhere() -> None:
    measured = measure(ColourEncoder(), a_reference(), decode)

    assert measured == pytest.approx(PERFECT)


def test_everything_measured_is_judged() -> None:
    assert measure(ColourEncoder(), a_reference(), decode).keys() == LIMITS.keys()


def test_other_embeddings_are_seen() -> None:
    measured = measure(ColourEncoder(turn=0.2), a_reference(), decode)

    assert measured["image_cosine"] < 0.99
    assert measured["batch_cosine"] == pytest.approx(1.0)


def test_a_picture_that_depends_on_its_batch_is_seen() -> None:
    measured = measure(ColourEncoder(leak=0.5), a_reference(), decode)

    assert measured["batch_cosine"] < 0.99


def test_other_pixels_are_seen() -> None:
    measured = measure(ColourEncoder(), a_reference(), decode_darker)

    assert measured["same_pixels"] < 0.9
    assert measured["image_cosine"] == pytest.approx(1.0)


def test_an_order_of_texts_that_changes_is_seen() -> None:
    measured = measure(ColourEncoder(turn=5.0), a_reference(), decode)

    assert measured["text_order"] < 0.5


def test_a_reference_of_other_dimensions_is_refused() -> None:
    reference = a_reference()
    other = Reference(
        reference.pictures,
        reference.texts,
        reference.pixels,
        np.ones((3, 7), dtype=np.float32),
        reference.text_embeddings,
    )

    with pytest.raises(BundleRejected, match=r"embeddings \[3, 7\], the encoder gives \[3, 3\]"):
        measure(ColourEncoder(), other, decode)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_no_limit_asks_for_more_than_perfection(precision: str) -> None:
    assert all(0.5 < limits[precision] < 1 for limits in LIMITS.values())  # type: ignore[index]


@pytest.mark.parametrize(
    ("value", "passes"), [(0.99, True), (0.9, True), (0.89, False), (np.nan, False)]
)
def test_a_check_passes_from_its_requirement_on(value: float, passes: bool) -> None:
    assert Check(name="image_cosine", value=value, required=0.9).passed is passes


rankings = arrays(np.float32, 6, elements=st.floats(-1, 1, width=32), unique=True)


@given(rankings)
def test_an_order_agrees_with_itself_and_opposes_its_reverse(order: NDArray[np.float32]) -> None:
    assert kendall_tau(order, order) == 1
    assert kendall_tau(order, -order) == -1


@given(rankings, rankings)
def test_tau_is_symmetric_and_bounded(one: NDArray[np.float32], other: NDArray[np.float32]) -> None:
    assert kendall_tau(one, other) == kendall_tau(other, one)
    assert -1 <= kendall_tau(one, other) <= 1


def test_one_swapped_pair_of_three_leaves_a_third() -> None:
    one = np.array([1, 2, 3], dtype=np.float32)

    assert kendall_tau(one, np.array([2, 1, 3], dtype=np.float32)) == pytest.approx(1 / 3)


def test_texts_that_all_tie_keep_their_order() -> None:
    assert kendall_tau(np.ones(3, dtype=np.float32), np.ones(3, dtype=np.float32)) == 1


def test_a_report_survives_the_bundle(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path)
    report = passing_report(manifest)

    stored = report.store(tmp_path, manifest)

    assert ParityReport.load(tmp_path) == report
    assert Manifest.load(tmp_path) == stored
    assert stored.encoder_id == manifest.encoder_id


def without_report(directory: Path) -> None:
    manifest = write_bundle(directory)
    files = {name: digest for name, digest in manifest.files.items() if name != PARITY_FILE}
    manifest.model_copy(update={"files": files}).save(directory)


def failing_report(directory: Path) -> None:
    manifest = write_bundle(directory)
    checks = judge({**PERFECT, "image_cosine": 0.9}, manifest.precision)
    failing = passing_report(manifest).model_copy(update={"checks": checks})
    failing.store(directory, manifest)


def report_of_another(directory: Path) -> None:
    manifest = write_bundle(directory)
    other = passing_report(manifest).model_copy(update={"encoder_id": "0" * 64})
    other.store(directory, manifest)


def unreadable_report(directory: Path) -> None:
    manifest = write_bundle(directory)
    report = passing_report(manifest).model_copy(update={"format": 2})
    report.store(directory, manifest)


BAD_REPORTS = {
    "has no parity report; run `moderation bundle verify": without_report,
    "its parity report fails: image_cosine 0.90000 < 0.99999": failing_report,
    "its parity report is of another encoder": report_of_another,
    "parity.json: cannot be read as a parity report": unreadable_report,
}


@pytest.mark.parametrize("message", BAD_REPORTS)
def test_a_bundle_that_nobody_has_shown_to_be_right_loads_only_when_forced(
    tmp_path: Path, message: str
) -> None:
    BAD_REPORTS[message](tmp_path)

    with pytest.raises(BundleRejected, match=message):
        load_encoder(str(tmp_path), device="cpu")
    forced = load_encoder(str(tmp_path), device="cpu", allow_unverified=True)

    assert forced.info.name == "colours"


def test_a_starter_has_no_original_to_be_held_to(tmp_path: Path) -> None:
    without_report(tmp_path)
    Manifest.load(tmp_path).model_copy(update={"is_starter": True}).save(tmp_path)

    assert load_encoder(str(tmp_path), device="cpu").info.is_starter


def test_a_reference_is_read_as_it_was_written(tmp_path: Path) -> None:
    wanted = a_reference()
    np.savez(
        tmp_path / "reference.npz",
        picture_bytes=np.frombuffer(b"".join(wanted.pictures), dtype=np.uint8),
        picture_sizes=[len(one) for one in wanted.pictures],
        texts=np.array([one.encode() for one in wanted.texts]),
        pixels=wanted.pixels,
        image_embeddings=wanted.image_embeddings,
        text_embeddings=wanted.text_embeddings,
    )

    read = Reference.load(tmp_path / "reference.npz")

    assert (read.pictures, read.texts) == (wanted.pictures, wanted.texts)
    assert np.array_equal(read.image_embeddings, wanted.image_embeddings)


def test_a_reference_that_needs_unpickling_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reference.npz"
    np.savez(path, picture_sizes=np.array([{"an": "object"}], dtype=object))

    with pytest.raises(BundleRejected, match=r"reference\.npz: cannot be read as a reference"):
        Reference.load(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x80\x04."])
def test_a_file_that_is_no_reference_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "reference.npz").write_bytes(content)

    with pytest.raises(BundleRejected, match="cannot be read as a reference"):
        Reference.load(tmp_path / "reference.npz")
