"""A real HTTPS server for tests, on a loopback port, with a certificate for localhost."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.certificates import Authority, Folder


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Callers that leave in the middle are what the tests are about."""


@contextmanager
def https_server(
    folder: Path, handler: type[BaseHTTPRequestHandler], port: int = 0
) -> Iterator[tuple[int, Path]]:
    """Its port, and the file of the authority to trust; with `handler` for every request."""
    authority, files = Authority(folder.name), Folder(folder)  # one of each name can be trusted
    files.hold(authority.issue())
    (folder / "ca.pem").write_bytes(authority.pem)
    server = _Server(("127.0.0.1", port), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield server.server_address[1], folder / "ca.pem"
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
