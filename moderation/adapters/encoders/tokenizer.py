"""Texts to token ids, by the bundle's own tokenizer.json; transformers is not needed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from moderation.core.errors import BundleRejected

TokenIds = NDArray[np.int64]


class TextTokenizer:
    """Cuts texts to `max_tokens` and pads a batch to its longest text, or always to the limit."""

    def __init__(self, path: Path, *, max_tokens: int, pad_id: int, pad_to_max: bool) -> None:
        """Load the tokenizer; raises BundleRejected if the file is not one."""
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the tokenizers package raises nothing narrower
            raise BundleRejected(f"{path.name}: this is no tokenizer: {error}") from error
        pad_token = self._tokenizer.id_to_token(pad_id)
        if pad_token is None:
            raise BundleRejected(
                f"{path.name}: the manifest says that {pad_id} pads, which is no token here"
            )
        self._tokenizer.enable_truncation(max_length=max_tokens)
        self._tokenizer.enable_padding(
            pad_id=pad_id,
            pad_token=pad_token,
            length=max_tokens if pad_to_max else None,
        )

    def encode(self, texts: Sequence[str]) -> tuple[TokenIds, TokenIds]:
        """Ids and mask, both int64[n, longest]."""
        encodings = self._tokenizer.encode_batch(list(texts))
        ids = np.array([encoding.ids for encoding in encodings], dtype=np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64)
        return ids, mask
