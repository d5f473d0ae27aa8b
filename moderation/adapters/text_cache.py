"""Embeddings of the policies' texts on disk, so that commands need not compute them each time.

One file an encoder: records of a text's digest and its vector, added at the end. A
file that was cut short is used up to its last whole record.
"""

import fcntl
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from moderation.core.content import Embedding, Embeddings
from moderation.service.ports import TextEncoder

KEY_BYTES = 16
MAX_TEXTS = 500_000
"""A fuller file is begun anew; with 384 dimensions it has 780 MB."""


class CachedTexts:
    """A TextEncoder that asks another one only for what is not on disk yet.

    `encoder` is called when it is first needed. A directory that cannot be written
    costs time, and nothing else.
    """

    def __init__(
        self, directory: Path, *, encoder_id: str, dim: int, encoder: Callable[[], TextEncoder]
    ) -> None:
        self._path = directory / f"{encoder_id}.texts"
        self._record = np.dtype([("key", f"V{KEY_BYTES}"), ("embedding", "<f4", dim)])
        self._encoder = encoder
        self._row_by_key: dict[bytes, Embedding] | None = None

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """See TextEncoder."""
        if self._row_by_key is None:
            self._row_by_key = self._read()
        keys = [_key(text) for text in texts]
        missing = {
            key: text for key, text in zip(keys, texts, strict=True) if key not in self._row_by_key
        }
        if missing:
            rows = self._encoder().encode_texts(list(missing.values()))
            self._row_by_key.update(zip(missing, rows, strict=True))
            self._append(list(missing), rows)
        return np.stack([self._row_by_key[key] for key in keys])

    def _read(self) -> dict[bytes, Embedding]:
        try:
            content = self._path.read_bytes()
        except OSError:
            return {}
        size = self._record.itemsize
        records = np.frombuffer(content[: len(content) // size * size], dtype=self._record)
        if len(records) > MAX_TEXTS:
            self._path.unlink(missing_ok=True)
            return {}
        return dict(zip(map(bytes, records["key"]), records["embedding"], strict=True))

    def _append(self, keys: Sequence[bytes], rows: Embeddings) -> None:
        records = np.zeros(len(keys), dtype=self._record)
        records["key"] = np.array(keys, dtype=f"V{KEY_BYTES}")
        records["embedding"] = rows
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # two commands at once must not mix records
                whole = file.seek(0, 2) // self._record.itemsize * self._record.itemsize
                file.truncate(whole)
                file.write(records.tobytes())
        except OSError:
            return


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()[:KEY_BYTES]
