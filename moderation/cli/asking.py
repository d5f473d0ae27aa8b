"""Reads a page that a server of this service shows over HTTP."""

import urllib.request
from email.message import Message
from http.client import BadStatusLine

from moderation.cli.output import printable

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Of the inside: a proxy that the environment names leads to other people's servers."""

NO_HTTP = "what answers there speaks no HTTP; metrics have a port of their own (metrics.port)"


def page_at(url: str, *, timeout_s: float) -> tuple[bytes, Message]:
    """The page and its headers; raises OSError, of which HTTPError is one, or HTTPException."""
    with _OPENER.open(url, timeout=timeout_s) as answer:
        return answer.read(), answer.headers


def why_not(error: Exception) -> str:
    """What kept a page from being read, in words that a terminal may show."""
    if isinstance(error, BadStatusLine) and not isinstance(error, OSError):
        return NO_HTTP  # it quotes whatever came instead
    return printable(getattr(error, "strerror", None) or str(error) or type(error).__name__)
