"""Images that a request names instead of carrying them: what a name may be, and lead to."""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from moderation.core.errors import InvalidRequest

FIELD = "content.uri"
MAX_URI_LENGTH = 2048
HTTPS, FILE, S3, GS = "https", "file", "s3", "gs"
SCHEMES = (HTTPS, FILE, S3, GS)
STORES = frozenset({S3, GS})
HTTPS_PORT = 443
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
URI_CHARACTERS = re.compile(r"[!-~]+")
"""Printable ASCII: everything else has to be percent-encoded, by RFC 3986."""
BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
BUCKET = "bucket"
BUCKET_NOT_ALLOWED = "its bucket is not among those that the service fetches from"
HOST_NAME = re.compile(r"\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class ImageUri:
    """A name that is well formed; whether it is allowed is another question."""

    scheme: str
    host: str
    """Lower case; empty for a file. Of an object in a store, its bucket."""
    port: int
    target: str
    """Path and query as they are sent, or a file's path, percent-encoded."""

    @property
    def authority(self) -> str:
        """The host, and the port where it is not the usual one."""
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host that images may come from; a name that begins with a dot means all below it."""

    name: str
    port: int = HTTPS_PORT

    def admits(self, place: ImageUri) -> bool:
        """Whether this allows the place's host and port."""
        if place.port != self.port:
            return False
        if self.name.startswith("."):
            return place.host.endswith(self.name)
        return place.host == self.name


def image_uri_from(uri: str) -> ImageUri:
    """Take a name apart; raises InvalidRequest."""
    if len(uri) > MAX_URI_LENGTH:
        raise InvalidRequest(FIELD, f"has {len(uri)} characters; {MAX_URI_LENGTH} are allowed")
    if not URI_CHARACTERS.fullmatch(uri):
        raise InvalidRequest(FIELD, "holds what no URI may; percent-encode it")
    try:
        parts = urlsplit(uri)
        port = parts.port or HTTPS_PORT
    except ValueError as error:
        raise InvalidRequest(FIELD, "is no URI") from error
    if parts.scheme not in SCHEMES:
        raise InvalidRequest(FIELD, "must begin with https://, file://, s3:// or gs://")
    if "@" in parts.netloc or parts.fragment:
        raise InvalidRequest(FIELD, "must have no user, password or fragment")
    host = (parts.hostname or "").rstrip(".")
    if (parts.scheme == FILE) == bool(host):
        raise InvalidRequest(FIELD, "must name a host or a bucket, and none with file")
    if parts.scheme in STORES and (parts.query or ":" in parts.netloc):
        raise InvalidRequest(FIELD, "must name a bucket and a key, and nothing else")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return ImageUri(parts.scheme, host, port, target)


def object_path(place: ImageUri) -> str:
    """The key of an object, percent-encoded as its store signs it; raises InvalidRequest.

    Whoever passes a path on may take `..` out of it, and with that the bucket.
    """
    try:
        key = unquote(place.target.removeprefix("/"), errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidRequest(FIELD, "has a key that is not UTF-8") from error
    if not key or not {".", ".."}.isdisjoint(re.split(r"[/\\]", key)):
        raise InvalidRequest(FIELD, "must name a key, without . and .. in it")
    return quote(key, safe="/~")


def allowed_buckets(listed: str) -> tuple[tuple[str, str], ...]:
    """Scheme and name of each from `s3://name, gs://name`; raises ValueError with what is wrong."""
    return tuple(_allowed_bucket(part.strip()) for part in listed.split(",") if part.strip())


def _allowed_bucket(part: str) -> tuple[str, str]:
    scheme, _, name = part.rstrip("/").partition("://")
    if scheme not in STORES or not BUCKET_NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"{part!r} is no bucket; write s3://name or gs://name")
    return scheme, name


def allowed_hosts(listed: str) -> tuple[AllowedHost, ...]:
    """Hosts from `name, name:port, .name`; raises ValueError with the part that is wrong."""
    return tuple(_allowed_host(part.strip()) for part in listed.split(",") if part.strip())


def _allowed_host(part: str) -> AllowedHost:
    name, _, port = part.lower().partition(":")
    if not HOST_NAME.fullmatch(name) or not (port.isdecimal() or ":" not in part):
        raise ValueError(f"{part!r} is no host; write a name, name:port, or .name for all below it")
    return AllowedHost(name, int(port) if port else HTTPS_PORT)


def require_allowed(place: ImageUri, hosts: Sequence[AllowedHost]) -> None:
    """Raise InvalidRequest unless one of the hosts allows it."""
    if not any(host.admits(place) for host in hosts):
        raise InvalidRequest(FIELD, "its host is not among those that the service fetches from")


def is_public(address: str) -> bool:
    """Whether an IP address is of the open internet, whatever form hides it.

    An IPv6 address that stands for an IPv4 one (mapped, 6to4, Teredo, NAT64) is what that one
    is. Raises ValueError if it is no address.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    hidden = _hidden(ip)
    if hidden is not None:
        return all(is_public(str(one)) for one in hidden)
    local = isinstance(ip, ipaddress.IPv6Address) and ip.is_site_local
    return ip.is_global and not ip.is_multicast and not ip.is_reserved and not local


def _hidden(ip: Address) -> Sequence[Address] | None:
    """The IPv4 addresses that an IPv6 one stands for; None if it stands for itself."""
    if isinstance(ip, ipaddress.IPv4Address):
        return None
    if ip.ipv4_mapped is not None:
        return [ip.ipv4_mapped]
    if ip.sixtofour is not None:
        return [ip.sixtofour]
    if ip.teredo is not None:
        return list(ip.teredo)
    if ip in NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return None
