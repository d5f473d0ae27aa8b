import logging

import numpy as np
import pytest

from moderation.adapters.encoders.fitting import GROW_AFTER, FittingBatches
from moderation.adapters.encoders.onnx_session import OutOfMemory
from moderation.core.content import Embeddings, Pixels
from moderation.core.errors import Overloaded


class Card:
    """Has room for so many frames; answers each with the number that it shows."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.sizes: list[int] = []

    def run(self, pixels: Pixels) -> Embeddings:
        self.sizes.append(len(pixels))
        if len(pixels) > self.room:
            raise OutOfMemory("out of memory")
        return pixels[:, 0, 0, :1].astype(np.float32)


def frames(n: int) -> Pixels:
    return np.arange(n, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 1, 3), np.uint8)


def numbers(embeddings: Embeddings) -> list[int]:
    return [int(one) for one in embeddings[:, 0]]


def test_a_batch_that_fits_is_run_whole() -> None:
    card = Card(room=8)

    assert numbers(FittingBatches(card.run).run(frames(8))) == list(range(8))
    assert card.sizes == [8]


@pytest.mark.parametrize(("room", "sizes"), [(4, [8, 4, 4]), (3, [8, 4, 2, 2, 2, 2])])
@pytest.mark.case(64)
def test_a_batch_that_does_not_fit_is_answered_in_parts(room: int, sizes: list[int]) -> None:
    card = Card(room)

    answer = FittingBatches(card.run).run(frames(8))

    assert numbers(answer) == list(range(8))
    assert card.sizes == sizes


def test_the_size_that_fitted_is_kept_to(caplog: pytest.LogCaptureFixture) -> None:
    card = Card(room=4)
    batches = FittingBatches(card.run)
    with caplog.at_level(logging.WARNING):
        batches.run(frames(8))
    card.sizes.clear()

    batches.run(frames(8))

    assert card.sizes == [4, 4]
    assert "a batch of 8 did not fit into memory; from now on 4" in caplog.text


def test_a_single_frame_that_does_not_fit_is_an_overload() -> None:
    with pytest.raises(Overloaded, match="no memory left for one frame") as caught:
        FittingBatches(Card(room=0).run).run(frames(2))

    assert caught.value.retry_after_s > 0


def test_after_an_overload_larger_batches_come_back_in_time() -> None:
    card = Card(room=1)
    batches = FittingBatches(card.run)
    batches.run(frames(2))
    card.room = 2
    card.sizes.clear()

    for _ in range(GROW_AFTER // 2 + 1):
        answer = batches.run(frames(2))

    assert card.sizes[-1] == 2
    assert numbers(answer) == [0, 1]


def test_batches_below_the_limit_do_not_count_towards_growing() -> None:
    card = Card(room=2)
    batches = FittingBatches(card.run)
    batches.run(frames(4))
    card.room = 4

    for _ in range(GROW_AFTER + 1):
        batches.run(frames(1))
    batches.run(frames(4))

    assert card.sizes[-2:] == [2, 2]
