"""Whether a server runs at the addresses in the settings, by what it tells everybody."""

import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from moderation.settings import Settings

ASK_S = 2.0
OURS = b"moderation_build_info"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "[::]": "[::1]", "": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class MetricsAnswer:
    """What stands at the metrics' address."""

    is_ours: bool
    said_at: datetime | None
    """By the clock of whoever answered; to the second."""


def dialled(host: str) -> str:
    """The address under which to reach who listens on this one."""
    return ANYWHERE.get(host, host)


def ask_metrics(settings: Settings) -> MetricsAnswer | None:
    """Ask at the metrics' address; None if nobody answers there."""
    metrics = settings.metrics
    url = f"http://{dialled(metrics.host)}:{metrics.port}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=ASK_S) as answer:
            said, body = answer.headers.get("Date"), answer.read()
    except (OSError, ValueError):
        return None
    return MetricsAnswer(OURS in body, parsedate_to_datetime(said) if said else None)


def ask_status(settings: Settings) -> str | None:
    """What a server at the requests' address says of itself; None if none answers there."""
    from moderation.client import ClientError, ModerationClient

    address = f"{dialled(settings.server.host)}:{settings.server.port}"
    try:
        with ModerationClient(address, timeout_s=ASK_S) as client:
            answer = client.status()
    except ClientError:
        return None
    return f"version {answer.build.version}, {'serving' if answer.serving else 'not serving'}"
