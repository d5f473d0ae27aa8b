"""Where the server listens and how connections are secured, from settings."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from moderation.adapters.grpc.credentials import tls_credentials
from moderation.adapters.grpc.server import Endpoint
from moderation.settings import ServerSettings, Settings, is_reachable_from_outside

if TYPE_CHECKING:
    from moderation.adapters.certificates import CertificateStore, CertificateTelemetry


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
