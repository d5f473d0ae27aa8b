"""What a supervisor and a worker say to each other over a socket: JSON, each after its length."""

import asyncio
import json
import socket
import struct
from typing import Any

HEAD = struct.Struct("!I")
METRICS = "metrics"
"""What a supervisor asks for, and the key of the answer."""
EVENT = "event"
LISTENING = "listening"
SERVING = "serving"
NOT_SERVING = "not_serving"


def pack(message: object) -> bytes:
    """A message as it travels."""
    content = json.dumps(message).encode()
    return HEAD.pack(len(content)) + content


async def read(reader: asyncio.StreamReader) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The next message; raises EOFError or OSError when the other side has gone."""
    (size,) = HEAD.unpack(await reader.readexactly(HEAD.size))
    return json.loads(await reader.readexactly(size))


def receive(connection: socket.socket) -> Any:  # noqa: ANN401 - whatever JSON can hold
    """The next message, without an event loop; raises EOFError or OSError."""
    (size,) = HEAD.unpack(_exactly(connection, HEAD.size))
    return json.loads(_exactly(connection, size))


def _exactly(connection: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        piece = connection.recv(size - len(content))
        if not piece:
            raise EOFError("the other side has gone")
        content += piece
    return content
