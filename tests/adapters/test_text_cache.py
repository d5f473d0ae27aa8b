"""Embeddings of texts are computed once, whatever becomes of the file."""

import fcntl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from moderation.adapters.text_cache import KEY_BYTES, CachedTexts, ignored
from moderation.core.content import Embeddings
from moderation.service.ports import TextEncoder
from tests.contracts import TextEncoderContract
from tests.fakes import FAKE_DIM, FakeEncoder, embedding_of

RECORD = KEY_BYTES + 4 * FAKE_DIM + 4


def cached(
    directory: Path,
    encoder: FakeEncoder,
    encoder_id: str = "e",
    *,
    max_bytes: int = 2**20,
    warn: Callable[[str], None] = ignored,
    wait_s: float = 0.0,
) -> CachedTexts:
    return CachedTexts(
        directory,
        encoder_id=encoder_id,
        dim=FAKE_DIM,
        encoder=lambda: encoder,
        max_bytes=max_bytes,
        warn=warn,
        wait_s=wait_s,
    )


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

    known = CachedTexts(tmp_path, encoder_id="e", dim=FAKE_DIM, encoder=never, max_bytes=2**20)

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


@pytest.mark.parametrize("cut", [1, 100, RECORD])
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


def test_a_directory_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told: list[str] = []
    texts = cached(tmp_path / "file", FakeEncoder(), warn=told.append)

    texts.encode_texts(["a gun"])
    texts.encode_texts(["a cat"])

    assert len(told) == 1
    assert str(tmp_path / "file") in told[0]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "e.texts").mkdir()
    told: list[str] = []

    rows = cached(tmp_path, FakeEncoder(), warn=told.append).encode_texts(["a gun"])

    assert np.array_equal(rows, expected("a gun"))
    assert len(told) == 1


@pytest.mark.parametrize("place", range(0, RECORD, 5))
def test_a_spoiled_record_is_computed_anew(tmp_path: Path, place: int) -> None:
    cached(tmp_path, FakeEncoder()).encode_texts(["a gun", "a cat"])
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    second, third = FakeEncoder(), FakeEncoder()

    rows = cached(tmp_path, second).encode_texts(["a gun", "a cat"])
    again = cached(tmp_path, third).encode_texts(["a gun", "a cat"])

    assert second.texts == ["a gun"]
    assert third.texts == []
    assert np.array_equal(rows, expected("a gun", "a cat"))
    assert np.array_equal(again, rows)


def test_a_file_of_something_else_costs_only_time(tmp_path: Path) -> None:
    (tmp_path / "e.texts").write_bytes(bytes(range(256)) * 40)

    rows = cached(tmp_path, FakeEncoder()).encode_texts(["a gun"])

    assert np.array_equal(rows, expected("a gun"))


def test_what_another_process_adds_is_found(tmp_path: Path) -> None:
    one, other = FakeEncoder(), FakeEncoder()
    mine, theirs = cached(tmp_path, one), cached(tmp_path, other)
    mine.encode_texts(["a gun"])

    theirs.encode_texts(["a gun", "a cat"])
    mine.encode_texts(["a cat"])

    assert one.texts == ["a gun"]
    assert other.texts == ["a cat"]


def test_a_full_file_is_begun_anew(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    texts = cached(tmp_path, encoder, max_bytes=2 * RECORD)

    for text in ("a gun", "a cat", "a dog", "a cat", "a dog"):
        texts.encode_texts([text])

    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 2 * RECORD
    assert encoder.texts == ["a gun", "a cat", "a dog", "a cat"]


def test_a_file_begun_anew_by_another_process_gives_no_wrong_row(tmp_path: Path) -> None:
    mine = cached(tmp_path, FakeEncoder())
    mine.encode_texts(["a gun", "a cat"])
    (path,) = tmp_path.iterdir()
    path.unlink()
    cached(tmp_path, FakeEncoder()).encode_texts(["a dog", "a knife", "a tree"])

    rows = mine.encode_texts(["a gun", "a cat", "a knife"])

    assert np.array_equal(rows, expected("a gun", "a cat", "a knife"))


@pytest.mark.parametrize("max_bytes", [0, RECORD - 1])
def test_what_has_no_room_is_not_kept(tmp_path: Path, max_bytes: int) -> None:
    cached(tmp_path, FakeEncoder(), max_bytes=max_bytes).encode_texts(["a gun"])

    assert list(tmp_path.iterdir()) == []


def test_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(200)]

    with ThreadPoolExecutor(4) as executor:
        for start in range(4):
            executor.submit(_write_one_by_one, tmp_path, texts[start::4])

    encoder = FakeEncoder()
    assert np.array_equal(cached(tmp_path, encoder).encode_texts(texts), expected(*texts))
    assert encoder.texts == []


def _write_one_by_one(directory: Path, texts: list[str]) -> None:
    own = cached(directory, FakeEncoder())
    for text in texts:
        own.encode_texts([text])


def test_of_several_processes_that_want_the_same_texts_one_computes(tmp_path: Path) -> None:
    started, may_end = Event(), Event()

    class Slow(FakeEncoder):
        def encode_texts(self, texts: Sequence[str]) -> Embeddings:
            started.set()
            may_end.wait(30)
            return super().encode_texts(texts)

    first, second = Slow(), FakeEncoder()
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(cached(tmp_path, first, wait_s=30).encode_texts, ["a gun"])
        started.wait(30)
        other = pool.submit(cached(tmp_path, second, wait_s=30).encode_texts, ["a gun"])
        may_end.set()
        rows = [one.result(), other.result()]

    assert all(np.array_equal(row, expected("a gun")) for row in rows)
    assert second.texts == []


def test_who_waits_in_vain_computes_for_itself(tmp_path: Path) -> None:
    encoder = FakeEncoder()
    with (tmp_path / "e.lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows = cached(tmp_path, encoder, wait_s=0.05).encode_texts(["a gun"])

    assert np.array_equal(rows, expected("a gun"))
    assert encoder.texts == ["a gun"]


def test_what_is_on_disk_is_recalled_and_nothing_is_computed(tmp_path: Path) -> None:
    texts = [f"thing {number}" for number in range(9)]
    cached(tmp_path, FakeEncoder()).encode_texts(texts)
    encoder = FakeEncoder()

    known = cached(tmp_path, encoder).recall(["thing 7", "a cat", "thing 0", "thing 1", "thing 7"])

    assert {text: row.tolist() for text, row in known.items()} == {
        text: embedding_of(text).tolist() for text in ("thing 0", "thing 1", "thing 7")
    }
    assert encoder.texts == []


def test_a_record_that_does_not_prove_itself_is_not_recalled(tmp_path: Path) -> None:
    cached(tmp_path, FakeEncoder()).encode_texts(["a gun", "a cat", "a dog"])
    (path,) = tmp_path.glob("*.texts")
    content = bytearray(path.read_bytes())
    content[RECORD + KEY_BYTES] ^= 1  # in the second one's vector
    path.write_bytes(content)

    assert cached(tmp_path, FakeEncoder()).recall(["a gun", "a cat", "a dog"]).keys() == {
        "a gun",
        "a dog",
    }


def test_nothing_is_recalled_where_there_is_no_file(tmp_path: Path) -> None:
    assert cached(tmp_path, FakeEncoder()).recall(["a gun"]) == {}


def test_more_records_than_are_read_at_once_are_recalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moderation.adapters.text_cache.RECORDS_AT_ONCE", 4)
    texts = [f"thing {number}" for number in range(11)]
    cached(tmp_path, FakeEncoder()).encode_texts(texts)

    assert cached(tmp_path, FakeEncoder()).recall(texts).keys() == set(texts)
