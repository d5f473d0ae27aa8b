"""What a decoding process and its owner say to each other over a socket.

Lengths, numbers and plain bytes, and no pickles: who has taken over a decoder must not be able
to run anything in the process that reads its answers.
"""

import json
import socket
import struct
from collections.abc import Callable
from dataclasses import asdict
from enum import IntEnum
from typing import TypeAlias

import numpy as np

from moderation.core.content import Crop, Interpolation, Pixels, PixelSpec
from moderation.core.errors import FailureCode, UnjudgeableContent

TASK = struct.Struct("!HQ")
"""Before a task: the length of the specification of its pixels, and that of the image."""

ANSWER = struct.Struct("!BI")
"""Before an answer: its kind, and how much follows: frames, or bytes of a refusal."""

MAX_REFUSAL_BYTES = 1024

Buffer: TypeAlias = bytearray | memoryview
BeforeWait: TypeAlias = Callable[[], None]
"""Called before each wait, to set how long the socket may take."""


class Kind(IntEnum):
    """What a decoding process has to say."""

    READY = 0
    PIXELS = 1
    REFUSAL = 2


class Garbled(ValueError):
    """The other side said something that makes no sense."""


def no_limit() -> None:
    """Wait as long as it takes."""


def receive(connection: socket.socket, buffer: Buffer, before_wait: BeforeWait = no_limit) -> None:
    """Fill the buffer; raises EOFError if the other side ends first."""
    view = memoryview(buffer)
    while view:
        before_wait()
        received = connection.recv_into(view)
        if not received:
            raise EOFError("the other side has gone")
        view = view[received:]


def task_head(spec: PixelSpec, image: bytes) -> bytes:
    """What goes before the image when it is sent to be decoded."""
    specification = json.dumps(asdict(spec)).encode()
    return TASK.pack(len(specification), len(image)) + specification


def receive_task(connection: socket.socket) -> tuple[PixelSpec, bytearray]:
    """The next task; raises EOFError when there will be no more."""
    head = bytearray(TASK.size)
    receive(connection, head)
    spec_length, image_length = TASK.unpack(head)
    specification, image = bytearray(spec_length), bytearray(image_length)
    receive(connection, specification)
    receive(connection, image)
    fields = json.loads(specification)
    kinds = {"crop": Crop(fields["crop"]), "interpolation": Interpolation(fields["interpolation"])}
    return PixelSpec(**{**fields, **kinds}), image


def send_ready(connection: socket.socket) -> None:
    """Say that tasks can come."""
    connection.sendall(ANSWER.pack(Kind.READY, 0))


def send_pixels(connection: socket.socket, frames: Pixels) -> None:
    """Answer with frames uint8[frames, size, size, 3]."""
    connection.sendall(ANSWER.pack(Kind.PIXELS, len(frames)))
    connection.sendall(np.ascontiguousarray(frames).data.cast("B"))


def send_refusal(connection: socket.socket, refusal: UnjudgeableContent) -> None:
    """Answer that the content cannot be judged, and why."""
    told = f"{refusal.code}\n{refusal.message}".encode()[:MAX_REFUSAL_BYTES]
    connection.sendall(ANSWER.pack(Kind.REFUSAL, len(told)) + told)


def receive_ready(connection: socket.socket, before_wait: BeforeWait) -> None:
    """Wait for `send_ready`; raises EOFError, Garbled or OSError."""
    kind, _ = _answer(connection, before_wait)
    if kind != Kind.READY:
        raise Garbled(f"it said {kind} before it was ready")


def receive_pixels(
    connection: socket.socket, size_px: int, max_frames: int, before_wait: BeforeWait
) -> Pixels:
    """The answer to a task; raises UnjudgeableContent, or EOFError, Garbled or OSError."""
    kind, count = _answer(connection, before_wait)
    if kind == Kind.REFUSAL and count <= MAX_REFUSAL_BYTES:
        told = bytearray(count)
        receive(connection, told, before_wait)
        raise _refusal(told)
    if kind != Kind.PIXELS or not 1 <= count <= max_frames:
        raise Garbled(f"an answer of kind {kind} with {count} parts")
    frames = np.empty((count, size_px, size_px, 3), dtype=np.uint8)
    receive(connection, frames.data.cast("B"), before_wait)
    return frames


def _answer(connection: socket.socket, before_wait: BeforeWait) -> tuple[int, int]:
    head = bytearray(ANSWER.size)
    receive(connection, head, before_wait)
    kind, count = ANSWER.unpack(head)
    return kind, count


def _refusal(told: bytearray) -> UnjudgeableContent:
    code, _, message = told.decode(errors="replace").partition("\n")
    if code not in set(FailureCode) or not message.isprintable():
        raise Garbled("a refusal that no decoder gives")
    return UnjudgeableContent(FailureCode(code), message)
