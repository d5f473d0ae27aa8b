"""Remembers what contents looked like to the encoder, so that the same bytes are encoded once.

Content that was refused is remembered too, for a while: an upload that is tried
again and again costs no decoding. What may go better next time is not remembered.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from moderation.core.content import Embeddings
from moderation.core.errors import FailureCode, UnjudgeableContent
from moderation.service.ports import Telemetry

ContentKey: TypeAlias = tuple[str, bytes]
"""The encoder's id, and `content_digest` of a content's bytes."""

ENTRY_BYTES = 512
"""What an entry takes beside its numbers: key, digest, array and their places in the dict."""

TRANSIENT = frozenset({FailureCode.ENCODER_FAILED})
"""Failures that say more about the moment than about bytes.

A decoder that dies, hangs or runs out of memory may be the moment's fault as well. But if it is
the bytes', each further try costs a decoder, so that for a while they are not tried again.
"""


@dataclass(frozen=True, slots=True)
class _Refusal:
    code: FailureCode
    message: str
    until: float


class EmbeddingCache:
    """Keeps at most `max_bytes`, and of those the ones that were asked for last."""

    def __init__(
        self,
        *,
        max_bytes: int,
        refusal_s: float,
        telemetry: Telemetry,
        clock: Callable[[], float],
    ) -> None:
        self._max_bytes = max_bytes
        self._refusal_s = refusal_s
        self._telemetry = telemetry
        self._clock = clock
        self._entries: dict[ContentKey, Embeddings | _Refusal] = {}
        """The one that was asked for longest ago is the first."""
        self._n_bytes = 0

    def get(self, key: ContentKey) -> Embeddings | None:
        """Read-only embeddings, or None; raises UnjudgeableContent if it was refused lately."""
        entry = self._take(key)
        if isinstance(entry, _Refusal):
            if entry.until <= self._clock():
                return None
            self._put(key, entry)
            raise UnjudgeableContent(entry.code, entry.message)
        if entry is not None:
            self._put(key, entry)
        return entry

    def remember(self, key: ContentKey, embeddings: Embeddings) -> None:
        """Keep the embeddings, which nobody may change from now on."""
        embeddings.setflags(write=False)
        self._replace(key, embeddings)

    def remember_refusal(self, key: ContentKey, error: UnjudgeableContent) -> None:
        """Keep why the content cannot be judged, unless that may change."""
        if error.code not in TRANSIENT:
            until = self._clock() + self._refusal_s
            self._replace(key, _Refusal(error.code, error.message, until))

    def _replace(self, key: ContentKey, entry: Embeddings | _Refusal) -> None:
        self._take(key)
        self._put(key, entry)
        while self._n_bytes > self._max_bytes:
            self._take(next(iter(self._entries)))
        self._telemetry.cache_changed(self._n_bytes)

    def _put(self, key: ContentKey, entry: Embeddings | _Refusal) -> None:
        self._entries[key] = entry
        self._n_bytes += _size(entry)

    def _take(self, key: ContentKey) -> Embeddings | _Refusal | None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._n_bytes -= _size(entry)
        return entry


def _size(entry: Embeddings | _Refusal) -> int:
    return ENTRY_BYTES + (len(entry.message) if isinstance(entry, _Refusal) else entry.nbytes)
