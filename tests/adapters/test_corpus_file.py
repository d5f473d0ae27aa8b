"""Embeddings as a file: the same after a round, and refused when they are something else."""

from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.corpus_file import CorpusUnusable, load_corpus, save_corpus
from moderation.core.corpus import Corpus
from tests.fakes import FAKE_DIM, embedding_of


def a_corpus() -> Corpus:
    cat, gun = embedding_of("a cat")[None], embedding_of("a gun")[None]
    return Corpus.from_contents([("ü", cat), ("b", np.concatenate([gun, cat]))], dim=FAKE_DIM)


def test_a_corpus_survives_a_round(tmp_path: Path) -> None:
    save_corpus(tmp_path / "deep" / "c.npz", a_corpus(), encoder_id="e")

    corpus = load_corpus(tmp_path / "deep" / "c.npz", encoder_id="e")

    assert corpus.content_ids == ("ü", "b")
    assert np.array_equal(corpus.embeddings, a_corpus().embeddings)
    assert corpus.starts.tolist() == [0, 1]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["c.npz"]


def test_nothing_survives_a_round_too(tmp_path: Path) -> None:
    save_corpus(tmp_path / "c.npz", Corpus.from_contents([], dim=4), encoder_id="e")

    assert len(load_corpus(tmp_path / "c.npz", encoder_id="e")) == 0


def test_another_encoder_s_embeddings_are_refused(tmp_path: Path) -> None:
    save_corpus(tmp_path / "c.npz", a_corpus(), encoder_id="one")

    with pytest.raises(CorpusUnusable, match="made by encoder one, and another is loaded"):
        load_corpus(tmp_path / "c.npz", encoder_id="another")


def test_what_is_no_such_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    np.savez(
        tmp_path / "wrong.npz",
        encoder_id=np.array("e"),
        ids=np.array(["a"]),
        embeddings=np.full((1, 4), 7, np.float32),
        starts=np.array([0]),
    )
    np.savez(tmp_path / "pickle.npz", encoder_id=np.array([object()]))

    for name in ("text", "other", "wrong", "pickle"):
        with pytest.raises(CorpusUnusable, match="is no file of embeddings"):
            load_corpus(tmp_path / f"{name}.npz", encoder_id="e")
    with pytest.raises(FileNotFoundError):
        load_corpus(tmp_path / "none.npz", encoder_id="e")
