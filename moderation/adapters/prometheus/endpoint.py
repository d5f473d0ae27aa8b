"""The port that Prometheus scrapes."""

from collections.abc import Iterable
from threading import Thread
from typing import Self
from wsgiref.simple_server import WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, start_http_server


class MetricsServer:
    """Shows a registry at http://host:port/metrics, from a thread of its own."""

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
            self._server.set_app(_only_metrics(app))
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


def _only_metrics(app: WSGIApplication) -> WSGIApplication:
    """The application at /metrics alone; left to itself it answers on every path."""

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].rstrip("/") == "/metrics":
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"there is only /metrics\n"]

    return answer
