"""Reads a page that a server of this service shows over HTTP."""

import urllib.request
from email.message import Message

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Of the inside: a proxy that the environment names leads to other people's servers."""


def page_at(url: str, *, timeout_s: float) -> tuple[bytes, Message]:
    """The page and its headers; raises OSError, of which HTTPError is one, or HTTPException."""
    with _OPENER.open(url, timeout=timeout_s) as answer:
        return answer.read(), answer.headers
