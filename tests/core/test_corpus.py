"""Contents and their frames, in order and in parts."""

import numpy as np
import pytest

from moderation.core.corpus import Corpus


def a_corpus(*frames: int) -> Corpus:
    """Contents c0, c1, ... with so many frames, every row marked by its number."""
    rows = np.arange(sum(frames), dtype=np.float32)[:, None]
    ends = np.cumsum(frames)
    contents = [
        (f"c{number}", rows[end - count : end])
        for number, (count, end) in enumerate(zip(frames, ends, strict=True))
    ]
    return Corpus.from_contents(contents, dim=1)


def test_a_content_has_the_frames_that_it_came_with() -> None:
    corpus = a_corpus(1, 3, 2)

    assert [corpus.frames_of(n).ravel().tolist() for n in range(3)] == [[0], [1, 2, 3], [4, 5]]


def test_a_part_is_a_corpus_of_its_own() -> None:
    part = a_corpus(1, 3, 2).part(1, 3)

    assert part.content_ids == ("c1", "c2")
    assert part.frames_of(1).ravel().tolist() == [4, 5]
    assert part.starts.tolist() == [0, 3]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 100])
def test_chunks_hold_every_content_once_and_whole(rows: int) -> None:
    corpus = a_corpus(1, 3, 2, 1, 1, 5, 1)

    chunks = list(corpus.chunks(rows))

    assert [n for first, stop in chunks for n in range(first, stop)] == list(range(7))
    assert all(stop > first for first, stop in chunks)


def test_nothing_is_a_corpus_too() -> None:
    corpus = Corpus.from_contents([], dim=4)

    assert len(corpus) == 0
    assert corpus.embeddings.shape == (0, 4)
    assert list(corpus.chunks(10)) == []
    assert len(corpus.part(0, 0)) == 0


@pytest.mark.parametrize(("ids", "starts"), [(1, [0, 1]), (2, [0, 0]), (2, [1, 2]), (1, [3])])
def test_contents_without_frames_and_frames_without_a_content_are_refused(
    ids: int, starts: list[int]
) -> None:
    rows = np.zeros((3, 2), dtype=np.float32)

    with pytest.raises(ValueError, match="content"):
        Corpus(tuple("ab"[:ids]), rows, np.array(starts, dtype=np.intp))


def test_frames_of_nobody_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one frame"):
        Corpus((), np.zeros((2, 3), dtype=np.float32), np.zeros(0, dtype=np.intp))
