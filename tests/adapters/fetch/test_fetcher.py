"""Fetching by any scheme: in time, and told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.adapters.fetch import FileReader, UriFetcher, WebFetcher, WebRules
from moderation.core.errors import DeadlineExceeded, InvalidRequest, NotReady
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


def ignore(n_bytes: int) -> None:
    """Of no interest here how many bytes will come."""


def fetcher(
    host: Host,
    root: Path,
    telemetry: RecordingTelemetry,
    *,
    timeout_s: float = 20.0,
) -> UriFetcher:
    rules = WebRules((AllowedHost("localhost", host.port),), 10**6, private_networks=True)
    return UriFetcher(
        {
            "https": WebFetcher(rules, trusted=host.trusted()),
            "file": FileReader([root], max_bytes=10**6),
        },
        max_bytes=10**6,
        timeout_s=timeout_s,
        tell=telemetry.image_fetched,
    )


async def test_images_come_by_either_scheme(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    images = fetcher(host, tmp_path, telemetry)

    assert await images.fetch(f"https://localhost:{host.port}/image", None, ignore) == IMAGE
    assert await images.fetch(f"file://{tmp_path}/a.png", 5.0, ignore) == IMAGE
    assert telemetry.fetches == [FetchOutcome.FETCHED] * 2


async def test_how_large_an_image_is_is_told_before_it_is_there(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    (tmp_path / "a.png").write_bytes(IMAGE)
    images, told = fetcher(host, tmp_path, telemetry), list[int]()

    await images.fetch(f"https://localhost:{host.port}/image", None, told.append)
    await images.fetch(f"file://{tmp_path}/a.png", None, told.append)

    assert told == [len(IMAGE)] * 2


async def test_a_wrong_name_is_counted_as_refused(
    host: Host, tmp_path: Path, telemetry: RecordingTelemetry
) -> None:
    images = fetcher(host, tmp_path, telemetry)
    with pytest.raises(InvalidRequest):
        await images.fetch("ftp://x", None, ignore)
    with pytest.raises(InvalidRequest, match="its bucket is not among those"):
        await images.fetch("s3://pictures/x", None, ignore)

    assert telemetry.fetches == [FetchOutcome.REFUSED] * 2


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
        await images.fetch(f"https://localhost:{host.port}/drip", within_s, ignore)

    assert telemetry.fetches == [FetchOutcome.UNAVAILABLE]
