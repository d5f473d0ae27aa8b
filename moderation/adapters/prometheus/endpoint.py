"""The port that Prometheus scrapes, and that says whether the service is ready."""

from collections.abc import Iterable
from threading import Thread
from typing import Self
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, start_http_server

NOT_READY = ("503 Service Unavailable", b"not ready\n")


class MetricsServer:
    """Shows a registry at http://host:port/metrics, from a thread of its own.

    `/ready` is 200 while the registry's `moderation_ready` is not 0, and 503 otherwise: for probes
    that cannot speak gRPC or have no certificate.
    """

    def __init__(self, registry: CollectorRegistry, *, host: str, port: int) -> None:
        self._registry = registry
        self._host = host
        self._port = port
        self._server: WSGIServer | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        """Bind the port; raises OSError if it is taken."""
        try:
            self._server, self._thread = start_http_server(
                self._port, addr=self._host, registry=self._registry
            )
        except OSError as error:
            where = f"{self._host}:{self._port}, metrics.host and metrics.port"
            raise OSError(f"cannot listen on {where}: {error.strerror}") from error
        app = self._server.get_app()
        if app is not None:
            self._server.set_app(_by_path(app, self._registry))
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


def _by_path(app: WSGIApplication, registry: CollectorRegistry) -> WSGIApplication:
    """The application at /metrics alone; left to itself it answers on every path."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"].rstrip("/")
        if path == "/metrics":
            return app(environ, start_response)
        status, said = "404 Not Found", b"there is only /metrics and /ready\n"
        if path == "/ready":
            is_ready = registry.get_sample_value("moderation_ready")
            status, said = ("200 OK", b"ready\n") if is_ready else NOT_READY
        start_response(status, [("Content-Type", "text/plain")])
        return [said]

    return answer
