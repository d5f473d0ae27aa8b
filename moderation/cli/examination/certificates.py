"""The certificates of TLS: judged as a start does, and how long they are good for."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from moderation.cli.examination.findings import Finding, broken, doubtful, good
from moderation.settings import Settings
from moderation.transport import certificate_store

SOON = timedelta(days=14)
"""As the alert ModerationCertificateExpires has it."""


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    tls = settings.tls
    if not tls.is_on or tls.contradiction:
        yield good("connections are plain text")
        return
    try:
        store = certificate_store(settings, (), now=lambda: datetime.now(UTC))
    except OSError as error:
        yield broken(str(error), "tls", "`moderation serve` refuses to start until then")
        return
    if store is None:
        return
    yield _lifetime(f"tls.certificate_file {tls.certificate_file}", store.current.not_after)
    if store.current.client_ca_not_after is not None:
        where = f"tls.client_ca_file {tls.client_ca_file}"
        yield _lifetime(where, store.current.client_ca_not_after)


def _lifetime(where: str, not_after: datetime) -> Finding:
    what = f"is valid until {not_after:%Y-%m-%d %H:%M} UTC"
    if not_after - datetime.now(UTC) < SOON:
        return doubtful(what, where, "renew it; running servers take it over by themselves")
    return good(what, where)
