"""A connection that speaks HTTP/2 frame by frame, to say what no proper client would."""

import socket
import struct
from collections.abc import Iterator, Sequence
from itertools import islice
from types import TracebackType
from typing import Self

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MODERATE = "/moderation.v1.ModerationService/Moderate"
FRAME_HEADER_BYTES = 9
REFUSED_STREAM = 7
Headers = Sequence[tuple[str, str]]


class RawConnection:
    """Sends exactly the frames that it is told to."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self._socket = socket.create_connection((host, int(port)), timeout=20)
        self._encoder = Encoder()
        self._decoder = Decoder()

    def __enter__(self) -> Self:
        """Open, with the preface and empty settings."""
        self._socket.sendall(PREFACE + SettingsFrame(0).serialize())
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, *frames: Frame) -> None:
        """Send these at once; raises OSError once the server has closed."""
        self._socket.sendall(b"".join(frame.serialize() for frame in frames))

    def request(self, stream: int, path: str = MODERATE, extra: Headers = ()) -> HeadersFrame:
        """The headers that open an RPC; its message is to follow."""
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *extra,
        ]
        return HeadersFrame(stream, self._encoder.encode(headers), flags=["END_HEADERS"])

    def headers_that_never_end(self, stream: int, continuations: int) -> list[Frame]:
        """The CONTINUATION flood: a header block in ever more pieces."""
        block = self._encoder.encode([(":method", "POST")])
        more = Encoder().encode([("x-padding", "x" * 1000)])
        pieces = (ContinuationFrame(stream, more) for _ in range(continuations))
        return [HeadersFrame(stream, block), *pieces]

    def status(self) -> int | None:
        """The gRPC status that the server ends an RPC with; None if it closes without one."""
        for frame in self._frames():
            if isinstance(frame, HeadersFrame):
                fields = dict(self._decoder.decode(frame.data, raw=True))
                if status := fields.get(b"grpc-status"):
                    return int(status)
            if isinstance(frame, RstStreamFrame):
                return None
        return None

    def refusals(self, expected: int) -> int:
        """How many streams the server refuses to open: no more than these are waited for."""
        refused = filter(is_refusal, self._frames())
        return sum(1 for _ in islice(refused, expected))

    def _frames(self) -> Iterator[Frame]:
        """What the server sends, until it closes; raises TimeoutError if it says nothing."""
        while header := self._exactly(FRAME_HEADER_BYTES):
            frame, length = Frame.parse_frame_header(memoryview(header))
            frame.parse_body(memoryview(self._exactly(length)))
            yield frame

    def _exactly(self, n: int) -> bytes:
        received = b""
        while len(received) < n and (piece := self._socket.recv(n - len(received))):
            received += piece
        return received

    def until_closed(self, within_s: float) -> bytes:
        """All that comes until the server closes; raises TimeoutError if it does not."""
        self._socket.settimeout(within_s)
        received = b""
        try:
            while piece := self._socket.recv(65_536):
                received += piece
        except ConnectionResetError:
            pass
        return received


def is_refusal(frame: Frame) -> bool:
    return isinstance(frame, RstStreamFrame) and frame.error_code == REFUSED_STREAM


def message(body: bytes, *, claimed: int | None = None, compressed: bool = False) -> bytes:
    """A gRPC message; `claimed` is the length that its prefix tells."""
    return struct.pack(">?I", compressed, len(body) if claimed is None else claimed) + body


def data(stream: int, body: bytes, *, end: bool = False) -> DataFrame:
    """A piece of a message."""
    return DataFrame(stream, body, flags=["END_STREAM"] if end else [])


def reset(stream: int) -> RstStreamFrame:
    """Take an RPC back."""
    return RstStreamFrame(stream, error_code=8)


def ping(number: int) -> PingFrame:
    """Ask for a sign of life."""
    return PingFrame(0, number.to_bytes(8, "big"))
