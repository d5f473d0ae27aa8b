"""`moderation health` against the port that a server would have."""

from collections.abc import Iterator
from threading import Event

import pytest
from prometheus_client import CollectorRegistry

from moderation.adapters.prometheus import MetricsServer
from tests.cli.command import moderation
from tests.client.scripted import dead_address


@pytest.fixture
def ready() -> Event:
    return Event()


@pytest.fixture
def server(ready: Event) -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    with MetricsServer(registry, host="127.0.0.1", port=0, is_ready=ready.is_set) as running:
        yield running


async def test_a_server_is_asked_where_the_settings_say(
    ready: Event, server: MetricsServer
) -> None:
    env = {"MODERATION_METRICS__HOST": "0.0.0.0", "MODERATION_METRICS__PORT": str(server.port)}

    early = await moderation("health", env=env)
    ready.set()
    later = await moderation("health", env=env)

    assert (early.exit_code, early.out) == (69, "not ready\n")
    assert (later.exit_code, later.out) == (0, "ready\n")


async def test_nobody_there_is_not_ready() -> None:
    address = dead_address()

    ended = await moderation("health", "--metrics-address", address)

    assert ended.exit_code == 69
    assert ended.err == f"moderation: {address}: cannot be asked: Connection refused\n"


async def test_an_address_that_is_none_is_told() -> None:
    ended = await moderation("health", "--metrics-address", "127.0.0.1:port")

    assert ended.exit_code == 69
    assert "127.0.0.1:port: cannot be asked" in ended.err
