"""Whether a server runs at the addresses in the settings, by what it tells everybody."""

import socket
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException

from moderation.cli.asking import page_at
from moderation.settings import Settings, api_key_from_environment

ASK_S = 2.0
OURS = b"moderation_build_info"
HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of gRPC begins with; of other protocols it is an error, which is an answer too."""
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
        body, headers = page_at(url, timeout_s=ASK_S)
    except (OSError, HTTPException, ValueError):
        return None
    said = headers.get("Date")
    return MetricsAnswer(OURS in body, parsedate_to_datetime(said) if said else None)


def ask_status(settings: Settings) -> str | None:
    """What a server at the requests' address says of itself; None if none answers there."""
    from moderation.client import CallRefused, ClientError, ModerationClient

    address = f"{dialled(settings.server.host)}:{settings.server.port}"
    try:
        key = api_key_from_environment()
        with ModerationClient(address, timeout_s=ASK_S, api_key=key) as client:
            answer = client.status()
    except CallRefused:
        return "a server that asks for a credential, MODERATION_API_KEY, to say more"
    except (ClientError, ValueError):
        return None
    return f"version {answer.build.version}, {'serving' if answer.serving else 'not serving'}"


def is_silent(host: str, port: int) -> bool:
    """Whether what listens there says nothing to who greets it: no answer, no error, no end."""
    try:
        with socket.create_connection((dialled(host).strip("[]"), port), ASK_S) as connection:
            connection.sendall(HTTP2_GREETING)
            connection.recv(1)
    except TimeoutError:
        return True
    except OSError:
        return False
    return False
