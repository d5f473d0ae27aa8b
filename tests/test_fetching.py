"""From settings to what fetches images: mistakes are told by the name of the setting."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from moderation.core.errors import InvalidRequest
from moderation.fetching import image_fetcher
from moderation.settings import Settings, SettingsError
from moderation.settings.fetch import FetchSettings
from tests.certificates import Authority
from tests.fakes import RecordingTelemetry


async def fetched(uri: str, **chosen: str) -> bytes:
    settings = Settings(fetch=FetchSettings(**chosen))
    async with AsyncExitStack() as stack:
        images = await image_fetcher(settings, RecordingTelemetry(), stack)
        return await images.fetch(uri, 5.0, lambda n_bytes: None)


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"hosts": "https://cdn.example"}, "fetch.hosts: .* is no host"),
        ({"file_roots": "/nonesuch"}, "fetch.file_roots: there is no folder /nonesuch"),
        ({"hosts": "cdn.example", "ca_file": "/nonesuch"}, "fetch.ca_file /nonesuch"),
        ({"buckets": "pictures"}, "fetch.buckets: 'pictures' is no bucket"),
        ({"buckets": "s3://b-b"}, "fetch.s3_region is empty"),
        (
            {"buckets": "s3://b-b", "s3_region": "x", "s3_anonymous": "true", "s3_endpoint": "x"},
            "fetch.s3_endpoint: x: must begin with https",
        ),
        ({"buckets": "gs://b-b", "gs_endpoint": "https://a/b"}, "fetch.gs_endpoint: .* no path"),
        (
            {"buckets": "gs://b-b", "gs_credentials_file": "/nonesuch"},
            "fetch.gs_credentials_file /nonesuch: No such file",
        ),
        (
            {"buckets": "gs://b-b", "gs_credentials_file": "/dev/null"},
            "fetch.gs_credentials_file /dev/null: is no key file",
        ),
    ],
)
async def test_a_wrong_setting_is_named(chosen: dict[str, str], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        await fetched("file:///x", **chosen)


async def test_s3_without_credentials_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)

    with pytest.raises(SettingsError, match=r"need AWS credentials.* or set fetch\.s3_anonymous"):
        await fetched("file:///x", buckets="s3://b-b", s3_region="x")


async def test_what_everybody_may_read_needs_no_credentials() -> None:
    chosen = {"buckets": "s3://b-b, gs://b-b", "s3_region": "x", "s3_anonymous": "true"}

    for uri in ("s3://other/x", "gs://other/x"):
        with pytest.raises(InvalidRequest, match="its bucket is not among those"):
            await fetched(uri, **chosen)


async def test_nothing_is_fetched_unless_a_setting_asks_for_it() -> None:
    with pytest.raises(InvalidRequest, match="images by URI are off"):
        await fetched("file:///x")


@pytest.mark.parametrize("own_authority", [True, False])
async def test_what_is_set_up_fetches(tmp_path: Path, own_authority: bool) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    authority = tmp_path / "ca.pem"
    authority.write_bytes(Authority().pem)
    chosen = {"ca_file": str(authority)} if own_authority else {}

    image = await fetched(f"file://{tmp_path}/a.png", file_roots=str(tmp_path), **chosen)

    assert image == b"picture"
