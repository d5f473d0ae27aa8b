"""A corpus of embeddings as one file (`.npz`), bound to its encoder."""

from pathlib import Path

import numpy as np

from moderation.core.corpus import Corpus
from moderation.core.encoder import require_unit_rows
from moderation.core.errors import EncodingFailed

SUFFIX = ".npz"


class CorpusUnusable(ValueError):
    """The file holds no embeddings of this encoder's."""


def load_corpus(path: Path, *, encoder_id: str) -> Corpus:
    """Read a corpus; raises CorpusUnusable, or OSError."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            made_for = str(stored["encoder_id"])
            embeddings = stored["embeddings"].astype(np.float32, copy=False)
            starts = stored["starts"].astype(np.intp)
            corpus = Corpus(tuple(map(str, stored["ids"])), embeddings, starts)
        require_unit_rows(corpus.embeddings, rows=len(corpus.embeddings))
    except FileNotFoundError:
        raise
    except (ValueError, KeyError, OSError, EncodingFailed) as error:
        raise CorpusUnusable(f"{path}: is no file of embeddings: {error}") from error
    if made_for != encoder_id:
        raise CorpusUnusable(
            f"{path}: was made by encoder {made_for[:12]}, and {encoder_id[:12]} is loaded"
        )
    return corpus


def save_corpus(path: Path, corpus: Corpus, *, encoder_id: str) -> None:
    """Write a corpus, whole or not at all; raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as file:
        np.savez(
            file,
            encoder_id=np.array(encoder_id),
            ids=np.array(corpus.content_ids, dtype=np.str_),
            embeddings=corpus.embeddings,
            starts=corpus.starts,
        )
    unfinished.replace(path)
