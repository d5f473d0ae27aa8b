"""Embeddings of the policies' texts: each is computed once, and kept as long as it is used."""

from collections.abc import Iterable, Mapping, Sequence

from moderation.core.content import Embedding
from moderation.core.encoder import require_unit_rows
from moderation.service.ports import TextEncoder

TEXTS_PER_BATCH = 16
"""Texts of ViT-B/32 took 10.9 s of CPU time in batches of 16 and 14.5 s in batches of 64: longer
batches pad more, and the text graph keeps no memory between them."""


class PhraseEmbeddings:
    """Remembers what was embedded. Used by one thread at a time."""

    def __init__(self, encoder: TextEncoder) -> None:
        self._encoder = encoder
        self._embedding_by_text: dict[str, Embedding] = {}

    @property
    def by_text(self) -> Mapping[str, Embedding]:
        """What is known now."""
        return self._embedding_by_text

    def embed(self, wanted: frozenset[str], *, active: frozenset[str]) -> int:
        """Embed what is missing, forget what is neither wanted nor active; how many were missing.

        Endless edits must not fill the memory; but those of the active set stay, for
        this reload may yet fail and be taken back.
        """
        for text in self._embedding_by_text.keys() - (wanted | active):
            del self._embedding_by_text[text]
        missing = wanted - self._embedding_by_text.keys()
        # Texts of like length together: a batch is padded to its longest.
        ordered = sorted(missing, key=lambda text: (len(text), text))
        for batch in _batches(ordered, TEXTS_PER_BATCH):
            rows = require_unit_rows(self._encoder.encode_texts(batch), rows=len(batch))
            self._embedding_by_text.update(zip(batch, rows, strict=True))
        return len(missing)


def _batches(texts: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
