"""A store of recent embeddings in memory, and what every such store has to keep."""

from collections.abc import Sequence

import numpy as np

from moderation.core.content import Embeddings
from moderation.service.recent import RecentContents
from tests.fakes import Gate, embedding_of


class FakeRecentContents:
    """Remembers ids, or fails on those it was told of."""

    def __init__(self, *, fails_on: str = "") -> None:
        self.gate = Gate()
        self.kept: list[str] = []
        self.fails_on = fails_on

    def append(self, contents: Sequence[tuple[str, Embeddings]]) -> None:
        self.gate.pass_through()
        ids = [content_id for content_id, _ in contents]
        if self.fails_on in ids:
            raise OSError(28, "No space left on device")
        self.kept += ids

    def expire(self) -> None:
        self.gate.pass_through()


class RecentContentsContract:
    """Fixtures: `store`."""

    def test_contents_of_any_number_of_frames_are_taken(self, store: RecentContents) -> None:
        one = embedding_of("a gun")[None]

        store.append([("a", one), ("b", np.concatenate([one, one, one]))])
        store.append([])
        store.expire()
