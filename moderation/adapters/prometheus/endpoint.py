"""The port that Prometheus scrapes, and that says whether the service is ready."""

import socket
import sys
from collections.abc import Callable
from http.server import ThreadingHTTPServer
from threading import BoundedSemaphore, Thread
from typing import Any, Self
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, MetricsHandler

MAX_CONNECTIONS = 32
"""Each takes a thread and a descriptor; Prometheus and a probe take one each."""
TIMEOUT_S = 5.0
"""Longest wait for a request, and longest time to send an answer."""
LISTED = "there is only /metrics and /ready\n"


class MetricsServer:
    """Shows a registry at http://host:port/metrics, from threads of its own.

    `/ready` is 200 while `is_ready` says so, and 503 otherwise: for probes that cannot speak gRPC
    or have no certificate. It is asked from those threads; the registry is left alone, which with
    thousands of policies takes long.
    """

    def __init__(
        self, registry: CollectorRegistry, *, host: str, port: int, is_ready: Callable[[], bool]
    ) -> None:
        self._registry = registry
        self._is_ready = is_ready
        self._host = host
        self._port = port
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Bind the port; raises OSError if it is taken."""
        try:
            self._server = _Server(self._host, self._port, self._registry, self._is_ready)
        except OSError as error:
            where = f"{self._host}:{self._port}, metrics.host and metrics.port"
            raise OSError(f"cannot listen on {where}: {error.strerror}") from error
        self._thread = Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Close the port and wait for the thread."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    @property
    def port(self) -> int:
        """The port that is really bound, also when 0 was asked for."""
        return self._port if self._server is None else int(self._server.server_port)

    @property
    def url(self) -> str:
        """Where it shows them."""
        return f"http://{self._host}:{self.port}/metrics"


class _Handler(MetricsHandler):
    """One request; a caller that is too slow with it is hung up on."""

    timeout = TIMEOUT_S
    server: "_Server"

    def setup(self) -> None:
        """See StreamRequestHandler."""
        super().setup()
        self.registry = self.server.registry

    def do_GET(self) -> None:
        """Answer by path; left to itself it shows the metrics on every one."""
        match urlsplit(self.path).path.rstrip("/"):
            case "/metrics":
                super().do_GET()
            case "/ready" if self.server.is_ready():
                self._say(200, "ready\n")
            case "/ready":
                self._say(503, "not ready\n")
            case _:
                self._say(404, LISTED)

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(text.encode())


class _Server(ThreadingHTTPServer):
    """A thread for each of so many connections; whoever comes beyond them is hung up on at once.

    Without a bound, connections that send nothing take every descriptor of the process, and with
    them its requests.
    """

    request_queue_size = socket.SOMAXCONN  # with 5, a burst has a probe wait for its second try

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, is_ready: Callable[[], bool]
    ) -> None:
        self.registry = registry
        self.is_ready = is_ready
        self._places = BoundedSemaphore(MAX_CONNECTIONS)
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, address = found[0][0], str(found[0][4][0])
        super().__init__((address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """See ThreadingMixIn."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # no thread can be started
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """See ThreadingMixIn."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Keep callers that leave early out of the log; bugs go there."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)
