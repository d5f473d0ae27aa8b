"""Where the keys come from that sign tokens: a JWK set (RFC 7517) in a file or at a URL."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from moderation.core.errors import KeysRejected, Problem

try:
    import jwt
except ImportError as missing:
    raise ImportError("tokens need PyJWT: pip install 'moderation[identity]'") from missing

MAX_BYTES = 2**20
FETCH_S = 10.0
ASYMMETRIC = frozenset({"RSA", "EC", "OKP"})
"""A key that both signs and verifies would be no secret of the issuer any more."""


@dataclass(frozen=True)
class SigningKeys:
    """The keys of an issuer by their ids. Two sets are equal if they were written the same."""

    by_id: Mapping[str, jwt.PyJWK] = field(default_factory=dict, compare=False)
    written: bytes = b""


class JwksFile:
    """A JWK set in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> SigningKeys:
        """Raises KeysRejected."""
        try:
            with open(self._path, "rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise _rejected(str(self._path), f"cannot be read: {error.strerror}") from error
        return signing_keys(content, str(self._path))


class JwksUrl:
    """A JWK set that is fetched, over https, or over http from this machine."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._shown = _without_secrets(url)
        self._opener = urllib.request.build_opener(_NoRedirect)

    def load(self) -> SigningKeys:
        """Raises KeysRejected."""
        request = urllib.request.Request(self._url, headers={"Accept": "application/json"})
        try:
            with self._opener.open(request, timeout=FETCH_S) as answer:
                content = answer.read(MAX_BYTES + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise _rejected(self._shown, f"answers with status {error.code}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise _rejected(self._shown, f"cannot be fetched: {reason}") from error
        return signing_keys(content, self._shown)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Whoever can redirect could name another server, or plain text."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """No redirect is followed: the status is the answer."""


def signing_keys(content: bytes, where: str) -> SigningKeys:
    """The public keys of a JWK set that have an id; raises KeysRejected if there are none."""
    if len(content) > MAX_BYTES:
        raise _rejected(where, f"is too large; at most {MAX_BYTES} bytes are allowed")
    try:
        keys = jwt.PyJWKSet.from_json(content.decode()).keys
    except (ValueError, TypeError, AttributeError, jwt.PyJWTError) as error:
        raise _rejected(where, "is no JWK set with a key that can be used") from error
    by_id = {one.key_id: one for one in keys if one.key_id and _verifies(one)}
    if not by_id:
        raise _rejected(where, "has no public key with a `kid`")
    return SigningKeys(by_id, content)


def _verifies(key: jwt.PyJWK) -> bool:
    return key.key_type in ASYMMETRIC and key.public_key_use in {None, "sig"}


def _without_secrets(url: str) -> str:
    """As it may stand in a log: without user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"


def _rejected(where: str, message: str) -> KeysRejected:
    return KeysRejected((Problem(where, 0, 0, message),))
