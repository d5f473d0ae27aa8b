"""The metrics' port over real sockets: what it answers, to whom, and how much it lets in."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import MetricsServer, endpoint
from moderation.adapters.prometheus.endpoint import MAX_CONNECTIONS
from tests.e2e.server import until

PATIENCE_S = 10.0
LARGE = "L" * 2**24
"""More than the buffers of two sockets hold."""


class Family(Collector):
    """One gauge, shown with whatever help."""

    def __init__(self, text: str) -> None:
        self._text = text

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("shown", self._text, 1.0)


class Broken(Collector):
    """Fails as a bug would."""

    def collect(self) -> Iterator[Metric]:
        raise ValueError("a bug of ours")


def a_server(
    *shown: Collector, port: int = 0, is_ready: Callable[[], bool] = bool
) -> MetricsServer:
    registry = CollectorRegistry()
    for one in shown:
        registry.register(one)
    return MetricsServer(registry, host="127.0.0.1", port=port, is_ready=is_ready)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with a_server(Family("one")) as running:
        yield running


@contextmanager
def silent_connections(server: MetricsServer, count: int) -> Iterator[list[socket.socket]]:
    """So many that were opened and send nothing."""
    with ExitStack() as stack:
        where = "127.0.0.1", server.port
        yield [
            stack.enter_context(socket.create_connection(where, PATIENCE_S)) for _ in range(count)
        ]


def is_hung_up(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def is_shown(server: MetricsServer) -> bool:
    try:
        with urllib.request.urlopen(server.url, timeout=PATIENCE_S) as answer:
            return bool(answer.read())
    except OSError:
        return False


def test_connections_beyond_a_bound_are_hung_up_on_and_take_no_thread(
    server: MetricsServer,
) -> None:
    before = threading.active_count()

    with silent_connections(server, MAX_CONNECTIONS + 20) as opened:
        for beyond in opened[MAX_CONNECTIONS:]:
            assert is_hung_up(beyond)
        threads = threading.active_count() - before
    until(lambda: threading.active_count() == before)

    assert threads == MAX_CONNECTIONS
    until(lambda: is_shown(server))  # their places are free again


def test_one_that_sends_no_whole_request_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.1)
    with (
        a_server(Family("one")) as server,
        silent_connections(server, MAX_CONNECTIONS) as opened,
    ):
        opened[0].sendall(b"GET /metrics HTTP/1.1\r\nAccept: a")
        assert all(is_hung_up(one) for one in opened)
        until(lambda: is_shown(server))

    assert capfd.readouterr().err == ""


def test_one_that_does_not_read_its_answer_is_hung_up_on_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.1)
    with a_server(Family(LARGE)) as server:
        before = threading.active_count()
        with silent_connections(server, 2) as (slow, gone):
            for asks in (slow, gone):
                asks.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
            until(lambda: threading.active_count() == before)

    assert capfd.readouterr().err == ""


def test_a_bug_is_told_where_the_log_is(capfd: pytest.CaptureFixture[str]) -> None:
    with a_server(Broken()) as server:
        assert not is_shown(server)

    assert "a bug of ours" in capfd.readouterr().err


def test_a_port_that_is_taken_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(
                OSError, match=f"127.0.0.1:{port}, metrics.host and metrics.port: .*in use"
            ),
            a_server(port=port),
        ):
            pytest.fail("the port was bound twice")


def test_there_is_nothing_beside_the_metrics(server: MetricsServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=10)

    refused.value.close()


def test_a_probe_is_told_whether_the_service_is_ready() -> None:
    ready = threading.Event()
    with a_server(is_ready=ready.is_set) as server:
        url = f"http://127.0.0.1:{server.port}/ready"
        with pytest.raises(urllib.error.HTTPError, match="503") as early:
            urllib.request.urlopen(url, timeout=PATIENCE_S)
        early.value.close()

        ready.set()
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            assert (answer.status, answer.read()) == (200, b"ready\n")


def test_a_probe_is_answered_without_the_metrics(capfd: pytest.CaptureFixture[str]) -> None:
    with a_server(Broken(), is_ready=lambda: True) as server:
        url = f"http://127.0.0.1:{server.port}/ready"
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            assert answer.status == 200

    assert capfd.readouterr().err == ""


def test_the_port_is_free_again_after_the_end() -> None:
    with a_server() as first:
        port = first.port

    with a_server(Family("one"), port=port) as second:
        assert second.port == port
        assert is_shown(second)


def test_a_server_that_never_started_closes_quietly() -> None:
    server = a_server(port=9464)

    server.__exit__(None, None, None)

    assert server.port == 9464
