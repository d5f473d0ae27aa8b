"""What a decoding process may say to its owner, and what is not believed."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from moderation.adapters.images import wire
from moderation.core.content import Crop, Interpolation, Pixels, PixelSpec
from moderation.core.errors import FailureCode, UnjudgeableContent

SIZE_PX = 4
MAX_FRAMES = 3


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    owner, process = socket.socketpair()
    with owner, process:
        yield owner, process


def answer(owner: socket.socket) -> Pixels:
    return wire.receive_pixels(owner, SIZE_PX, MAX_FRAMES, wire.no_limit)


def test_a_task_arrives_as_it_was_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    owner, process = pair
    spec = PixelSpec(224, Crop.SQUASH, 0.875, Interpolation.BILINEAR)

    owner.sendall(wire.task_head(spec, b"picture") + b"picture")

    arrived, image = wire.receive_task(process)
    assert (arrived, bytes(image)) == (spec, b"picture")


def test_pixels_arrive_as_they_were_sent(pair: tuple[socket.socket, socket.socket]) -> None:
    owner, process = pair
    frames = np.arange(2 * SIZE_PX * SIZE_PX * 3, dtype=np.uint8).reshape(2, SIZE_PX, SIZE_PX, 3)

    wire.send_pixels(process, frames[:, ::-1])

    np.testing.assert_array_equal(answer(owner), frames[:, ::-1])


def test_a_refusal_arrives_as_it_was_sent_but_not_without_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    owner, process = pair

    wire.send_refusal(process, UnjudgeableContent(FailureCode.CORRUPT, "x" * 10_000))

    with pytest.raises(UnjudgeableContent) as caught:
        answer(owner)
    assert caught.value.code is FailureCode.CORRUPT
    assert 900 < len(caught.value.message) <= wire.MAX_REFUSAL_BYTES


@pytest.mark.parametrize(
    "said",
    [
        wire.ANSWER.pack(9, 1),
        wire.ANSWER.pack(wire.Kind.READY, 1),
        wire.ANSWER.pack(wire.Kind.PIXELS, 0),
        wire.ANSWER.pack(wire.Kind.PIXELS, MAX_FRAMES + 1),
        wire.ANSWER.pack(wire.Kind.REFUSAL, 2**31),
        wire.ANSWER.pack(wire.Kind.REFUSAL, 7) + b"no_code",
        wire.ANSWER.pack(wire.Kind.REFUSAL, 13) + b"corrupt\n\x1b[31m",
        wire.ANSWER.pack(wire.Kind.REFUSAL, 2) + b"\xff\xff",
    ],
)
def test_what_no_decoder_says_is_not_believed(
    pair: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    owner, process = pair

    process.sendall(said)

    with pytest.raises(wire.Garbled):
        answer(owner)


def test_nothing_comes_before_the_word_that_it_is_ready(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    owner, process = pair
    process.sendall(wire.ANSWER.pack(wire.Kind.PIXELS, 1))

    with pytest.raises(wire.Garbled):
        wire.receive_ready(owner, wire.no_limit)


def test_half_an_answer_is_none(pair: tuple[socket.socket, socket.socket]) -> None:
    owner, process = pair
    process.sendall(wire.ANSWER.pack(wire.Kind.PIXELS, 1) + bytes(10))
    process.close()

    with pytest.raises(EOFError):
        answer(owner)
