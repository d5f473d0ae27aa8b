"""Bounds of fetching: time, number, and what is counted."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.adapters.fetch import FileReader, UriFetcher, WebFetcher, WebRules
from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady, Overloaded
from moderation.core.image_uri import AllowedHost
from moderation.service.outcomes import FetchOutcome
from tests.adapters.fetch.host import IMAGE, Host, running_host
from tests.fakes import RecordingTelemetry


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


def fetcher(
    host: Host,
    root: Path,
    telemetry: RecordingTelemetry,
    *,
    timeout_s: float = 20.0,
    at_once: int = 4,
) -> UriFetcher:
    rules = WebRules((AllowedHost("localhost", host.port),), 10**6, private_networks=True)
    return UriFetcher(
        WebFetcher(rules, trusted=host.trusted()),
        FileReader([root], max_bytes=10**6),
        max_in_flight=at_once,
        timeout_s=timeout_s,
        tell=telemetry.image_fetched,
    )


async def test_images_come_by_either_scheme(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    images = fetcher(host, tmp_path, telemetry)

    assert await images.fetch(f"https://localhost:{host.port}/image", None) == IMAGE
    assert await images.fetch(f"file://{tmp_path}/a.png", 5.0) == IMAGE
    assert telemetry.fetches == [FetchOutcome.FETCHED] * 2


async def test_a_wrong_name_is_counted_as_refused(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    with pytest.raises(InvalidRequest):
        await fetcher(host, tmp_path, telemetry).fetch("ftp://x", None)

    assert telemetry.fetches == [FetchOutcome.REFUSED]


@pytest.mark.parametrize(
    ("within_s", "error"), [(None, NotReady), (60.0, NotReady), (0.1, DeadlineExceeded)]
)
async def test_a_host_that_drips_is_given_up(
    host: Host,
    tmp_path: Path,
    telemetry: RecordingTelemetry,
    within_s: float | None,
    error: type[Exception],
) -> None:
    images = fetcher(host, tmp_path, telemetry, timeout_s=0.3)

    with pytest.raises(error):
        await images.fetch(f"https://localhost:{host.port}/drip", within_s)

    assert telemetry.fetches == [FetchOutcome.UNAVAILABLE]


async def test_no_more_are_fetched_at_once_than_may_be(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    images = fetcher(host, tmp_path, telemetry, timeout_s=1.0, at_once=2)
    slow = f"https://localhost:{host.port}/drip"

    outcomes = await asyncio.gather(
        *(images.fetch(slow, None) for _ in range(5)), return_exceptions=True
    )

    assert sorted(type(one).__name__ for one in outcomes) == ["NotReady"] * 2 + ["Overloaded"] * 3
    assert telemetry.fetches.count(FetchOutcome.BUSY) == 3
    assert all(one.retry_after_s > 0 for one in outcomes if isinstance(one, Overloaded))
    assert await images.fetch(f"https://localhost:{host.port}/image", None) == IMAGE
