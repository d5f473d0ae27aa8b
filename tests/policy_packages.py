"""Policy packages as an editor publishes them: a directory, keys, and a web server."""

import hashlib
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from moderation.adapters.policy_package import make_key_pair, pack, read_private_key, seal, state
from tests.certificates import put
from tests.https import https_server

POLICY = """\
id: {name}
title: {title}
phrases: [{phrase}]
thresholds: {{review: 0.1}}
"""


def a_policy(name: str = "no-cats", *, phrase: str = "a cat", title: str = "Title") -> str:
    return POLICY.format(name=name, title=title, phrase=phrase)


@dataclass
class Publisher:
    """Packs and signs policies in a folder of its own."""

    home: Path
    keys: list[str] = field(default_factory=lambda: ["ours"])
    serial: int = 0

    def __post_init__(self) -> None:
        self.policies.mkdir(parents=True)
        for name in self.keys:
            self.make_key(name)

    @property
    def policies(self) -> Path:
        return self.home / "policies"

    @property
    def archive(self) -> Path:
        return self.home / "policies.tar.gz"

    @property
    def signature(self) -> Path:
        return self.home / "policies.tar.gz.sig"

    def public(self, name: str = "ours") -> Path:
        return self.home / f"{name}.pub"

    def make_key(self, name: str) -> str:
        return make_key_pair(self.home / f"{name}.key", self.public(name))

    def write(self, **policies: str) -> None:
        """Policies by name, with `_` for `-`."""
        for name, text in policies.items():
            (self.policies / f"{name.replace('_', '-')}.yaml").write_text(text)

    def publish(self, *, serial: int | None = None, keys: tuple[str, ...] = ()) -> None:
        """Pack what there is now, with a higher serial than before unless one is given."""
        self.serial = self.serial + 1 if serial is None else serial
        self.put(pack(self.policies), keys=keys)

    def put(self, archive: bytes, *, keys: tuple[str, ...] = ()) -> None:
        """Sign this as it is, and put it where it is looked for."""
        signers = [read_private_key(self.home / f"{name}.key") for name in keys or self.keys]
        # As `moderation policy pack` does, so that nobody ever finds half of a file.
        put(self.archive, archive)
        put(self.signature, seal(state(archive, serial=self.serial), signers))


@dataclass
class Mirror:
    """A web server that has what a folder holds, and remembers what it was asked."""

    folder: Path
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Paths, with the status that was answered."""
    tokens: list[str] = field(default_factory=list)
    instead: dict[str, tuple[int, Mapping[str, str], bytes]] = field(default_factory=dict)
    """What is answered for a path in place of the file."""
    port: int = 0
    authority: Path = Path()
    polled: threading.Event = field(default_factory=threading.Event)
    """Set by every request."""

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/policies.tar.gz"

    def count(self, path: str, status: int) -> int:
        return self.asked.count((path, status))


@contextmanager
def running_mirror(mirror: Mirror, certificates: Path) -> Iterator[Mirror]:
    """The mirror, reachable at its port: a free one the first time, and then always that one."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            mirror.tokens.append(self.headers.get("Authorization", ""))
            status, headers, body = mirror.instead.get(path) or self._file(path)
            mirror.asked.append((self.path, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            mirror.polled.set()

        def _file(self, path: str) -> tuple[int, Mapping[str, str], bytes]:
            try:
                body = (mirror.folder / path.lstrip("/")).read_bytes()
            except FileNotFoundError:
                return 404, {}, b""
            headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'}
            if self.headers.get("If-None-Match") == headers["ETag"]:
                return 304, headers, b""
            return 200, headers, body

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    certificates.mkdir(exist_ok=True)
    with https_server(certificates, Handler, mirror.port) as (mirror.port, mirror.authority):
        yield mirror
