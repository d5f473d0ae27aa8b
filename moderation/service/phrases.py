"""Embeddings of the policies' texts: each is computed once, and kept as long as it is used."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from moderation.core.content import Embedding
from moderation.core.encoder import require_unit_rows
from moderation.service.ports import EmbeddedTexts, TextEncoder, TextMemory

TEXTS_PER_BATCH = 16
"""Texts of ViT-B/32 took 10.9 s of CPU time in batches of 16 and 14.5 s in batches of 64: longer
batches pad more, and the text graph keeps no memory between them."""

TEXTS_PER_CHECK = 4096
"""Of embeddings that were recalled, so that the check needs little memory."""


class _NoMemory:
    """A TextMemory that knows nothing."""

    def recall(self, texts: Sequence[str]) -> Mapping[str, Embedding]:
        """See TextMemory."""
        return {}


NO_MEMORY: TextMemory = _NoMemory()


class PhraseEmbeddings:
    """Remembers what was embedded. Used by one thread at a time."""

    def __init__(self, encoder: TextEncoder, memory: TextMemory = NO_MEMORY) -> None:
        self._encoder = encoder
        self._memory = memory
        self._embedding_by_text: dict[str, Embedding] = {}

    @property
    def by_text(self) -> Mapping[str, Embedding]:
        """What is known now."""
        return self._embedding_by_text

    def embed(self, wanted: frozenset[str], *, active: frozenset[str]) -> EmbeddedTexts:
        """Embed what is missing, forget what is neither wanted nor active; what was missing.

        Endless edits must not fill the memory; but those of the active set stay, for
        this reload may yet fail and be taken back.
        """
        for text in self._embedding_by_text.keys() - (wanted | active):
            del self._embedding_by_text[text]
        missing = wanted - self._embedding_by_text.keys()
        recalled = self._recall(sorted(missing))
        missing -= self._embedding_by_text.keys()
        # Texts of like length together: a batch is padded to its longest.
        ordered = sorted(missing, key=lambda text: (len(text), text))
        for batch in _batches(ordered, TEXTS_PER_BATCH):
            rows = require_unit_rows(self._encoder.encode_texts(batch), rows=len(batch))
            self._embedding_by_text.update(zip(batch, rows, strict=True))
        return EmbeddedTexts(computed=len(missing), recalled=recalled)

    def _recall(self, texts: Sequence[str]) -> int:
        """Take over what is known elsewhere; how many that was."""
        known = self._memory.recall(texts) if texts else {}
        for some in _batches(list(known), TEXTS_PER_CHECK):
            require_unit_rows(np.stack([known[text] for text in some]), rows=len(some))
        self._embedding_by_text.update(known)
        return len(known)


def _batches(texts: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (texts[start : start + size] for start in range(0, len(texts), size))
