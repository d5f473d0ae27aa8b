"""What the settings make of the port."""

import asyncio
import socket
from contextlib import ExitStack

import pytest

from moderation.settings import load_settings
from moderation.transport import certificate_store, endpoint_of, tell_when_full
from tests.builders import NOON
from tests.fakes import PATIENCE_S


@pytest.mark.parametrize(
    ("host", "reflection", "describes_itself"),
    [
        ("127.0.0.1", "auto", True),
        ("0.0.0.0", "auto", False),
        ("0.0.0.0", "on", True),
        ("127.0.0.1", "off", False),
    ],
)
def test_reflection_is_for_those_who_are_on_this_machine(
    host: str, reflection: str, describes_itself: bool
) -> None:
    settings = load_settings({"server": {"host": host, "port": 1, "reflection": reflection}})

    endpoint = endpoint_of(settings, certificate_store(settings, (), now=lambda: NOON))

    assert endpoint.address == f"{host}:1"
    assert endpoint.credentials is None
    assert endpoint.with_reflection is describes_itself


async def test_that_there_can_be_no_more_connections_is_told_once_each_time() -> None:
    told: list[int] = []
    news = asyncio.Event()

    def tell(count: int) -> None:
        told.append(count)
        news.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        telling = asyncio.create_task(tell_when_full(lambda: port, 2, tell, every_s=0.01))
        for _ in range(2):
            with ExitStack() as open_:
                for _ in range(2):
                    open_.enter_context(socket.create_connection(("127.0.0.1", port)))
                    open_.enter_context(listening.accept()[0])
                async with asyncio.timeout(PATIENCE_S):
                    await news.wait()
                await asyncio.sleep(0.05)
            news.clear()
            await asyncio.sleep(0.05)
        telling.cancel()

    assert told == [2, 2]
