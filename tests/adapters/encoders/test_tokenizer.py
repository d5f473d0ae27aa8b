"""Texts to ids: padding, truncation, and texts that nobody expects."""

from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.encoders.tokenizer import TextTokenizer
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import write_tokenizer

ODD_TEXTS = {
    "empty": "",
    "blank": " \t\n ",
    "emoji": "🔫🧑🏽‍🚀",
    "right to left": "\u202eمسدس",
    "accents in two forms": "pistole\u0301 pistol\u00e9",
    "null": "red\x00blue",
    "long": "red " * 10_000,
    "long word": "x" * 100_000,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path / "tokenizer.json")
    return tmp_path / "tokenizer.json"


def a_tokenizer(path: Path, *, pad_id: int = 0, pad_to_max: bool = False) -> TextTokenizer:
    return TextTokenizer(path, max_tokens=6, pad_id=pad_id, pad_to_max=pad_to_max)


def test_a_batch_is_padded_to_its_longest_text(path: Path) -> None:
    ids, mask = a_tokenizer(path).encode(["red", "red green blue"])

    assert ids.tolist() == [[2, 0, 0], [2, 3, 4]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]
    assert ids.dtype == mask.dtype == np.int64


def test_padding_is_the_token_that_the_family_was_trained_with(path: Path) -> None:
    ids, mask = a_tokenizer(path, pad_id=1).encode(["red", "red green"])

    assert ids.tolist() == [[2, 1], [2, 3]]
    assert mask.tolist() == [[1, 0], [1, 1]]


def test_a_family_may_pad_every_text_to_the_limit(path: Path) -> None:
    ids, mask = a_tokenizer(path, pad_to_max=True).encode(["red"])

    assert ids.tolist() == [[2, 0, 0, 0, 0, 0]]
    assert mask.sum() == 1


def test_long_texts_are_cut_at_the_limit(path: Path) -> None:
    ids, mask = a_tokenizer(path).encode(["blue " * 7])

    assert ids.tolist() == [[4] * 6]
    assert mask.all()


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_texts_leave_their_neighbours_alone(path: Path, text: str) -> None:
    ids, mask = a_tokenizer(path).encode([text, "red green"])

    assert ids.shape == mask.shape
    assert ids.shape[1] <= 6
    assert ids[1][mask[1] == 1].tolist() == [2, 3]


@pytest.mark.parametrize("content", [b"", b"{}", b"no json", b"\x80\x04K*."])
def test_a_file_that_is_no_tokenizer_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(BundleRejected, match=r"tokenizer\.json: this is no tokenizer"):
        a_tokenizer(path)


def test_padding_with_an_unknown_token_is_refused(path: Path) -> None:
    with pytest.raises(BundleRejected, match="the manifest says that 99 pads"):
        a_tokenizer(path, pad_id=99)
