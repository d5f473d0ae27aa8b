"""Fetches images that requests name, as the settings say."""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.authorities import trusting
from moderation.core.image_uri import (
    FILE,
    GS,
    HTTPS,
    S3,
    AllowedHost,
    allowed_buckets,
    allowed_hosts,
)
from moderation.service.fetching import NO_FETCHING
from moderation.service.ports import ImageFetcher, Telemetry
from moderation.settings import Settings, SettingsError
from moderation.settings.fetch import FetchSettings

if TYPE_CHECKING:
    from moderation.adapters.fetch import Signer, StoreFetcher, WebFetcher


async def image_fetcher(
    settings: Settings, telemetry: Telemetry, stack: AsyncExitStack
) -> ImageFetcher:
    """What fetches; raises SettingsError if hosts, folders or authorities are wrong."""
    chosen = settings.fetch
    if not chosen.is_on:
        return NO_FETCHING
    try:
        # An extra, and not needed by who sends bytes.
        from moderation.adapters.fetch import (  # noqa: PLC0415
            FileReader,
            UriFetcher,
            WebFetcher,
            WebRules,
        )
    except ImportError as error:
        raise SettingsError(
            "images by URI need httpx: pip install 'moderation[fetch]', or empty "
            "fetch.hosts, fetch.file_roots and fetch.buckets"
        ) from error
    max_bytes = settings.decode.max_image_bytes
    rules = WebRules(_hosts(chosen), max_bytes, chosen.max_redirects, chosen.private_networks)
    web = WebFetcher(rules, trusted=_trusted(chosen.ca_file))
    await stack.enter_async_context(web)
    files = FileReader(_roots(chosen), max_bytes=max_bytes)
    return UriFetcher(
        {HTTPS: web, FILE: files, **await asyncio.to_thread(_stores, chosen, web)},
        max_bytes=max_bytes,
        timeout_s=chosen.timeout_s,
        tell=telemetry.image_fetched,
    )


def _hosts(chosen: FetchSettings) -> tuple[AllowedHost, ...]:
    try:
        return allowed_hosts(chosen.hosts)
    except ValueError as error:
        raise SettingsError(f"fetch.hosts: {error}") from error


def _roots(chosen: FetchSettings) -> tuple[Path, ...]:
    for root in chosen.roots:
        if not root.is_dir():
            raise SettingsError(f"fetch.file_roots: there is no folder {root}")
    return chosen.roots


def _trusted(ca_file: str) -> ssl.SSLContext:
    try:
        return trusting(ca_file)
    except OSError as error:
        raise SettingsError(f"fetch.ca_file {ca_file}: {error}") from error


def _stores(chosen: FetchSettings, web: "WebFetcher") -> "Mapping[str, StoreFetcher]":
    """By scheme, those of which a bucket is allowed; may ask for credentials."""
    from moderation.adapters.fetch import StoreFetcher, bucket_place  # noqa: PLC0415 - an extra

    try:
        buckets = allowed_buckets(chosen.buckets)
    except ValueError as error:
        raise SettingsError(f"fetch.buckets: {error}") from error
    endpoints = {
        S3: ("fetch.s3_endpoint", chosen.s3_endpoint.replace("{region}", chosen.s3_region)),
        GS: ("fetch.gs_endpoint", chosen.gs_endpoint),
    }
    signers = {S3: _s3_signer, GS: _gs_signer}
    stores = {}
    for scheme in sorted({scheme for scheme, _ in buckets}):
        setting, endpoint = endpoints[scheme]
        signer = signers[scheme](chosen)
        try:
            places = {name: bucket_place(endpoint, name) for own, name in buckets if own == scheme}
        except ValueError as error:
            raise SettingsError(f"{setting}: {error}") from error
        stores[scheme] = StoreFetcher(web, places, signer)
    return stores


def _s3_signer(chosen: FetchSettings) -> "Signer":
    from moderation.adapters.fetch import Anonymous  # noqa: PLC0415 - an extra

    if not chosen.s3_region:
        raise SettingsError("fetch.s3_region is empty; set the region of the s3 buckets")
    if chosen.s3_anonymous:
        return Anonymous()
    try:
        from moderation.adapters.fetch import s3  # noqa: PLC0415 - an extra of its own
    except ImportError as error:
        raise SettingsError(
            "s3 buckets need botocore: pip install 'moderation[s3]', or set fetch.s3_anonymous"
        ) from error
    try:
        credentials = s3.aws_credentials(instance_metadata=chosen.s3_instance_metadata)
    except ValueError as error:
        raise SettingsError(
            f"fetch.buckets need AWS credentials, and {error}; give some by the environment or a "
            "file, or set fetch.s3_anonymous or fetch.s3_instance_metadata"
        ) from error
    return s3.S3Signer(credentials, chosen.s3_region)


def _gs_signer(chosen: FetchSettings) -> "Signer":
    from moderation.adapters.fetch import Anonymous  # noqa: PLC0415 - an extra

    path = chosen.gs_credentials_file
    if not path:
        return Anonymous()
    try:
        from moderation.adapters.fetch import gs  # noqa: PLC0415 - an extra of its own
    except ImportError as error:
        raise SettingsError(
            "gs buckets need google-auth: pip install 'moderation[gs]', or empty "
            "fetch.gs_credentials_file"
        ) from error
    try:
        account = gs.service_account(Path(path))
    except OSError as error:
        raise SettingsError(f"fetch.gs_credentials_file {path}: {error.strerror}") from error
    except ValueError as error:
        raise SettingsError(f"fetch.gs_credentials_file {path}: {error}") from error
    return gs.GsSigner(account, ca_file=chosen.ca_file, timeout_s=chosen.timeout_s)
