"""What a client sends beside each request: who calls, the request's id, and the caller's trace."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

from moderation.client.channel import Credentials
from moderation.client.trace_context import trace_headers

Secret: TypeAlias = str | Callable[[], str]
"""An API key or a token, or what is asked for it before each call; it must be quick."""
Metadata: TypeAlias = tuple[tuple[str, str], ...]

AUTHORIZATION = "authorization"
REQUEST_ID = "x-request-id"
BULK: Metadata = (("x-priority", "bulk"),)
TARGET = re.compile(r"(?:(?P<scheme>dns|ipv4|ipv6|unix|unix-abstract):(?://[^/]*/)?)?(?P<rest>.*)")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a client is. `secret` is sent with every call; it is in no message and no repr."""

    metadata: Metadata = ()
    secret: Secret = field(default="", repr=False)

    def beside(self, request_id: str, *, bulk: bool = False) -> Metadata:
        """The metadata of one call; raises ValueError if the secret cannot be sent.

        What is `bulk` says so here too: a service that is full reads nothing else.
        """
        priority = BULK if bulk else ()
        own = (*self.metadata, (REQUEST_ID, request_id), *priority, *trace_headers())
        secret = self.secret() if callable(self.secret) else self.secret
        return (*own, (AUTHORIZATION, f"Bearer {_sendable(secret)}")) if secret else own


def caller_for(
    address: str,
    credentials: Credentials,
    *,
    metadata: Sequence[tuple[str, str]],
    api_key: Secret,
    token: Secret,
    plain_text_key: bool,
) -> Caller:
    """Who a client of that server is; raises ValueError if it would give its secret away."""
    if api_key and token:
        raise ValueError("give api_key or token: a call can show one credential")
    secret = api_key or token
    if secret and credentials is None and not (plain_text_key or is_of_this_machine(address)):
        raise ValueError(
            f"the API key or token would go to {address} in plain text; give credentials=Tls(...), "
            "or plain_text_key=True if something else encrypts the way there"
        )
    if isinstance(secret, str):
        _sendable(secret)
    return Caller(tuple(metadata), secret)


def is_of_this_machine(target: str) -> bool:
    """Whether all servers of a gRPC target are on this machine."""
    found = TARGET.fullmatch(target)
    if found is None:
        return False
    if (found["scheme"] or "").startswith("unix"):
        return True
    return all(_is_loopback(one.strip()) for one in found["rest"].split(","))


def _is_loopback(address: str) -> bool:
    host = address if address.count(":") > 1 and "]" not in address else address.rsplit(":", 1)[0]
    if "]" in address:
        host = address[: address.index("]")].lstrip("[")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _sendable(secret: str) -> str:
    """Without the newline that files end with; gRPC's own error would show what it refuses."""
    stripped = secret.strip()
    if not stripped.isascii() or not stripped.isprintable() or " " in stripped:
        raise ValueError("an API key or token must be printable ASCII without spaces")
    return stripped
