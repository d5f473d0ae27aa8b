"""The metrics' port over real sockets: what it answers, to whom, and how much it lets in."""

import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry, endpoint
from moderation.adapters.prometheus.endpoint import MAX_CONNECTIONS
from tests.e2e.server import until

PATIENCE_S = 10.0


@pytest.fixture
def telemetry() -> PrometheusTelemetry:
    return PrometheusTelemetry()


@pytest.fixture
def server(telemetry: PrometheusTelemetry) -> Iterator[MetricsServer]:
    with MetricsServer(telemetry.registry, host="127.0.0.1", port=0) as running:
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
    telemetry: PrometheusTelemetry,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.1)
    with (
        MetricsServer(telemetry.registry, host="127.0.0.1", port=0) as server,
        silent_connections(server, MAX_CONNECTIONS) as opened,
    ):
        opened[0].sendall(b"GET /metrics HTTP/1.1\r\nAccept: a")
        assert all(is_hung_up(one) for one in opened)
        until(lambda: is_shown(server))

    assert capfd.readouterr().err == ""


class Large(Collector):
    """More than the buffers of two sockets hold."""

    def collect(self) -> Iterator[Metric]:
        family = GaugeMetricFamily("large", "L" * 2**24)
        family.add_metric([], 1.0)
        yield family


def test_one_that_does_not_read_its_answer_is_hung_up_on_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 0.1)
    registry = CollectorRegistry()
    registry.register(Large())
    with MetricsServer(registry, host="127.0.0.1", port=0) as server:
        before = threading.active_count()
        with silent_connections(server, 2) as (slow, gone):
            for asks in (slow, gone):
                asks.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            gone.close()
            until(lambda: threading.active_count() == before)

    assert capfd.readouterr().err == ""


class Broken(Collector):
    """Fails as a bug would."""

    def collect(self) -> Iterator[Metric]:
        raise ValueError("a bug of ours")


def test_a_bug_is_told_where_the_log_is(capfd: pytest.CaptureFixture[str]) -> None:
    registry = CollectorRegistry()
    registry.register(Broken())
    with MetricsServer(registry, host="127.0.0.1", port=0) as server:
        assert not is_shown(server)

    assert "a bug of ours" in capfd.readouterr().err


def test_a_port_that_is_taken_is_an_error_at_the_start(telemetry: PrometheusTelemetry) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with (
            pytest.raises(
                OSError, match=f"127.0.0.1:{port}, metrics.host and metrics.port: .*in use"
            ),
            MetricsServer(telemetry.registry, host="127.0.0.1", port=port),
        ):
            pytest.fail("the port was bound twice")


def test_there_is_nothing_beside_the_metrics(server: MetricsServer) -> None:
    with pytest.raises(urllib.error.HTTPError, match="404") as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{server.port}/", timeout=10)

    refused.value.close()


def test_a_probe_is_told_whether_the_service_is_ready(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    url = f"http://127.0.0.1:{server.port}/ready"
    with pytest.raises(urllib.error.HTTPError, match="503") as early:
        urllib.request.urlopen(url, timeout=10)
    early.value.close()

    telemetry.watch(
        policy_age_s=lambda: 0.0,
        policies_stale=lambda: False,
        review_budgets=dict,
        ready=lambda: True,
        in_flight=lambda: 0,
        active=lambda: None,
    )
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert (answer.status, answer.read()) == (200, b"ready\n")


def test_the_port_is_free_again_after_the_end(telemetry: PrometheusTelemetry) -> None:
    with MetricsServer(telemetry.registry, host="127.0.0.1", port=0) as first:
        port = first.port

    with MetricsServer(telemetry.registry, host="127.0.0.1", port=port) as second:
        assert second.port == port
        assert is_shown(second)


def test_a_server_that_never_started_closes_quietly(telemetry: PrometheusTelemetry) -> None:
    server = MetricsServer(telemetry.registry, host="127.0.0.1", port=9464)

    server.__exit__(None, None, None)

    assert server.port == 9464
