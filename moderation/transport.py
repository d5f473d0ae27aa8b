"""Where the server listens, how connections are secured, and how many there may be."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.connections import connections_at
from moderation.adapters.grpc.credentials import tls_credentials
from moderation.adapters.grpc.server import Endpoint
from moderation.settings import ServerSettings, Settings, is_reachable_from_outside

if TYPE_CHECKING:
    from moderation.adapters.certificates import CertificateStore, CertificateTelemetry

CONNECTIONS_CHECK_S = 5.0


def certificate_store(
    settings: Settings,
    audiences: "Sequence[CertificateTelemetry]",
    *,
    now: Callable[[], datetime],
) -> "CertificateStore | None":
    """The server's certificates; None for plain text.

    Raises CertificateUnusable, or ImportError without the extra.
    """
    if not settings.tls.is_on:
        return None
    from moderation.adapters import certificates  # noqa: PLC0415 - an extra

    tls = settings.tls
    files = certificates.CertificateFiles(
        Path(tls.certificate_file),
        Path(tls.key_file),
        Path(tls.client_ca_file) if tls.client_ca_file else None,
    )
    return certificates.CertificateStore(files, audiences, now=now)


def endpoint_of(settings: Settings, certificates: "CertificateStore | None") -> Endpoint:
    """The port; without certificates it speaks plain text."""
    server = settings.server
    return Endpoint(
        f"{server.host}:{server.port}",
        None if certificates is None else tls_credentials(lambda: certificates.current),
        with_reflection=_describes_itself(server),
    )


def _describes_itself(server: ServerSettings) -> bool:
    if server.reflection == "auto":
        return not is_reachable_from_outside(server.host)
    return server.reflection == "on"


async def tell_when_full(
    port: Callable[[], int],
    most: int,
    on_full: Callable[[int], None],
    *,
    every_s: float = CONNECTIONS_CHECK_S,
) -> None:
    """Tell once that there are as many connections as there may be, until there were fewer."""
    was_full = False
    while True:
        # Not on the event loop: the table is that of the whole network namespace.
        count = await asyncio.to_thread(connections_at, port())
        if count >= most and not was_full:
            on_full(count)
        was_full = count >= most
        await asyncio.sleep(every_s)
