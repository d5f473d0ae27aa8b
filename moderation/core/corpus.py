"""Many contents by their embeddings: what a change of policies is tried out on."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embeddings


@dataclass(frozen=True, slots=True)
class Corpus:
    """Contents by id; the frames of one content are neighbouring rows."""

    content_ids: tuple[str, ...]
    embeddings: Embeddings
    """Of all frames, float32[frames, dim]."""
    starts: NDArray[np.intp]
    """The first row of each content, int[contents], rising."""

    def __post_init__(self) -> None:
        """Refuse contents without a frame, and frames without a content."""
        if len(self.starts) != len(self.content_ids):
            raise ValueError(f"{len(self.content_ids)} ids, {len(self.starts)} contents")
        bounds = np.append(self.starts, len(self.embeddings))
        if bounds[0] != 0 or np.any(np.diff(bounds) < 1):
            raise ValueError("every content needs at least one frame of its own")

    @classmethod
    def from_contents(cls, contents: Sequence[tuple[str, Embeddings]], *, dim: int) -> "Corpus":
        """A corpus of ids and their frames float32[n, dim], in that order."""
        lengths = [len(frames) for _, frames in contents]
        nothing = np.zeros((0, dim), dtype=np.float32)
        return cls(
            content_ids=tuple(content_id for content_id, _ in contents),
            embeddings=np.concatenate([nothing, *(frames for _, frames in contents)]),
            starts=(np.cumsum([0, *lengths])[:-1]).astype(np.intp),
        )

    def __len__(self) -> int:
        """How many contents there are."""
        return len(self.content_ids)

    def frames_of(self, position: int) -> Embeddings:
        """One content's embeddings, float32[frames, dim]."""
        return self.embeddings[self._rows(position, position + 1)]

    def part(self, first: int, stop: int) -> "Corpus":
        """The contents from `first` up to `stop`; their embeddings are shared, not copied."""
        rows = self._rows(first, stop)
        return Corpus(
            self.content_ids[first:stop],
            self.embeddings[rows],
            self.starts[first:stop] - rows.start,
        )

    def chunks(self, rows: int) -> Iterator[tuple[int, int]]:
        """Bounds of neighbouring contents that have about so many frames together."""
        first = 0
        while first < len(self):
            wanted = self.starts[first] + rows
            stop = max(first + 1, int(np.searchsorted(self.starts, wanted, side="left")))
            yield first, stop
            first = stop

    def _rows(self, first: int, stop: int) -> slice:
        end = len(self.embeddings) if stop >= len(self) else int(self.starts[stop])
        start = end if first >= len(self) else int(self.starts[first])
        return slice(start, end)
