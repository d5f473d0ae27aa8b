"""Fetches images that requests name, as the settings say."""

from contextlib import AsyncExitStack

from moderation.core.errors import InvalidRequest
from moderation.core.reference import FIELD, allowed_hosts
from moderation.service.ports import ImageFetcher, Telemetry
from moderation.settings import Settings, SettingsError


class NoReferences:
    """Where images by reference are off."""

    async def fetch(self, uri: str, within_s: float | None) -> bytes:
        """See ImageFetcher."""
        raise InvalidRequest(FIELD, "images by reference are off here; send content.image")


async def image_fetcher(
    settings: Settings, telemetry: Telemetry, stack: AsyncExitStack
) -> ImageFetcher:
    """What fetches; raises SettingsError if hosts, folders or authorities are wrong."""
    chosen = settings.references
    if not chosen.is_on:
        return NoReferences()
    try:
        import httpx  # noqa: PLC0415 - an extra, and not needed by who sends bytes
    except ImportError as error:
        raise SettingsError(
            "references need httpx: pip install 'moderation[fetch]', or empty "
            "references.hosts and references.file_roots"
        ) from error
    import ssl  # noqa: PLC0415 - see above

    from moderation.adapters.references import (  # noqa: PLC0415 - see above
        FileReader,
        ReferenceFetcher,
        WebFetcher,
        WebRules,
    )

    try:
        hosts = allowed_hosts(chosen.hosts)
    except ValueError as error:
        raise SettingsError(f"references.hosts: {error}") from error
    for root in chosen.roots:
        if not root.is_dir():
            raise SettingsError(f"references.file_roots: there is no folder {root}")
    try:
        trusted = (
            ssl.create_default_context(cafile=chosen.ca_file)
            if chosen.ca_file
            else httpx.create_ssl_context(trust_env=False)
        )
    except OSError as error:
        raise SettingsError(f"references.ca_file {chosen.ca_file}: {error}") from error
    max_bytes = settings.decode.max_image_bytes
    rules = WebRules(hosts, max_bytes, chosen.max_redirects, chosen.private_networks)
    web = await stack.enter_async_context(WebFetcher(rules, trusted=trusted))
    return ReferenceFetcher(
        web,
        FileReader(chosen.roots, max_bytes=max_bytes),
        max_in_flight=chosen.max_in_flight,
        timeout_s=chosen.timeout_s,
        tell=telemetry.reference_fetched,
    )
