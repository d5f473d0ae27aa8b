"""Fetches images that requests name, as the settings say."""

import ssl
from contextlib import AsyncExitStack
from pathlib import Path

from moderation.adapters.authorities import trusting
from moderation.core.image_uri import AllowedHost, allowed_hosts
from moderation.service.fetching import NO_FETCHING
from moderation.service.ports import ImageFetcher, Telemetry
from moderation.settings import Settings, SettingsError
from moderation.settings.fetch import FetchSettings


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
            "fetch.hosts and fetch.file_roots"
        ) from error
    max_bytes = settings.decode.max_image_bytes
    rules = WebRules(_hosts(chosen), max_bytes, chosen.max_redirects, chosen.private_networks)
    web = WebFetcher(rules, trusted=_trusted(chosen.ca_file))
    await stack.enter_async_context(web)
    return UriFetcher(
        web,
        FileReader(_roots(chosen), max_bytes=max_bytes),
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
