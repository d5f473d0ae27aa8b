"""Embeddings of texts are computed once, whatever becomes of the file."""

from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.text_cache import CachedTexts
from moderation.core.content import Embeddings
from moderation.service.ports import TextEncoder
from tests.contracts import TextEncoderContract
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of


def cached(directory: Path, encoder: FakeEncoder, encoder_id: str = "e") -> CachedTexts:
    return CachedTexts(directory, encoder_id=encoder_id, dim=FAKE_DIM, encoder=lambda: encoder)


def expected(*texts: str) -> Embeddings:
    return np.stack([embedding_of(text) for text in texts])


class TestCachedTexts(TextEncoderContract):
    @pytest.fixture
    def encoder(self, tmp_path: Path) -> TextEncoder:
        return cached(tmp_path, FakeEncoder())


def test_what_is_on_disk_is_not_computed_again(tmp_path: Path) -> None:
    first, second = FakeEncoder(), FakeEncoder()
    cached(tmp_path, first).encode_texts(["a gun", "a cat"])

    rows = cached(tmp_path, second).encode_texts(["a cat", "a dog", "a gun"])

    assert np.array_equal(rows, expected("a cat", "a dog", "a gun"))
    assert second.texts == ["a dog"]


def test_the_encoder_is_not_even_loaded_when_all_is_known(tmp_path: Path) -> None:
    cached(tmp_path, FakeEncoder()).encode_texts(["a gun"])

    def never() -> TextEncoder:
        raise AssertionError("it was loaded")

    known = CachedTexts(tmp_path, encoder_id="e", dim=FAKE_DIM, encoder=never)

    assert np.array_equal(known.encode_texts(["a gun"]), expected("a gun"))


def test_a_text_that_stands_twice_is_computed_once(tmp_path: Path) -> None:
    encoder = FakeEncoder()

    rows = cached(tmp_path, encoder).encode_texts(["a gun", "a gun"])

    assert np.array_equal(rows, expected("a gun", "a gun"))
    assert encoder.texts == ["a gun"]


def test_encoders_do_not_share_a_file(tmp_path: Path) -> None:
    cached(tmp_path, FakeEncoder()).encode_texts(["a gun"])
    other = FakeEncoder()

    cached(tmp_path, other, "another").encode_texts(["a gun"])

    assert other.texts == ["a gun"]


@pytest.mark.parametrize("cut", [1, 100, FAKE_DIM * 4 + 16])
def test_a_file_that_was_cut_short_is_used_as_far_as_it_goes(tmp_path: Path, cut: int) -> None:
    cached(tmp_path, FakeEncoder()).encode_texts(["a gun", "a cat"])
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    second, third = FakeEncoder(), FakeEncoder()

    cached(tmp_path, second).encode_texts(["a gun", "a cat"])
    rows = cached(tmp_path, third).encode_texts(["a gun", "a cat"])

    assert second.texts == ["a cat"]
    assert third.texts == []
    assert np.array_equal(rows, expected("a gun", "a cat"))


def test_a_directory_that_cannot_be_written_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    rows = cached(tmp_path / "file", FakeEncoder()).encode_texts(["a gun"])

    assert np.array_equal(rows, expected("a gun"))
