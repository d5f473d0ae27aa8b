"""A real HTTPS server that sends images, leads on, drips, lies, or falls silent."""

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.https import https_server
from tests.picture_builders import a_png

IMAGE = a_png()
LARGE = b"\xff" * 300_000
HELD_S = 60.0


@dataclass
class Host:
    """Where it is, whom to trust, and what it was asked."""

    port: int
    authority: Path
    asked: list[tuple[str, str]] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)
    """What is held at the host comes once this is set."""
    connections: int = 0

    def trusted(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))


class Handler(BaseHTTPRequestHandler):
    """What a host answers; a class of its own for each that runs, which knows its host."""

    host: Host

    def setup(self) -> None:
        self.host.connections += 1
        super().setup()

    def do_GET(self) -> None:
        """An image, or whatever the first part of the path says."""
        self.host.asked.append((self.headers["Host"], self.path))
        name, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        getattr(self, f"_{name}", self._missing)(rest)

    def _image(self, rest: str) -> None:
        self._send(200, IMAGE)

    def _open(self, rest: str) -> None:
        """Without saying how large it is."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(IMAGE)

    def _held(self, rest: str) -> None:
        """Nothing is said before the gate opens."""
        self.host.gate.wait(HELD_S)
        self._send(200, IMAGE)

    def _sized(self, rest: str) -> None:
        """Only how large it is, before the gate opens."""
        self._send(200, b"", length=len(IMAGE))
        self.wfile.flush()
        self.host.gate.wait(HELD_S)
        self.wfile.write(IMAGE)

    def _large(self, rest: str) -> None:
        self._send(200, LARGE)

    def _packed(self, rest: str) -> None:
        self._send(200, b"x", ("Content-Encoding", "gzip"))

    def _broken(self, rest: str) -> None:
        self._send(503, b"")

    def _missing(self, rest: str) -> None:
        self._send(404, b"")

    def _to(self, rest: str) -> None:
        self._send(302, b"", ("Location", rest.replace("~", "/")))

    def _round(self, rest: str) -> None:
        self._send(302, b"", ("Location", "/round"))

    def _cut(self, rest: str) -> None:
        self._send(200, IMAGE[:10], length=len(IMAGE))

    def _drip(self, rest: str) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def _send(
        self, status: int, body: bytes, *headers: tuple[str, str], length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def serving(folder: Path, handler: type[Handler]) -> Iterator[Host]:
    """A server on a loopback port, with a certificate for localhost by its own authority."""
    own: type[Handler] = type("Own", (handler,), {})
    with https_server(folder, own) as (port, authority):
        own.host = host = Host(port, authority)
        yield host


@contextmanager
def running_host(folder: Path) -> Iterator[Host]:
    """A server of images, of which some are not right."""
    with serving(folder, Handler) as host:
        yield host
