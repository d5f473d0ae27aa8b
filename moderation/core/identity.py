"""Who may call what: tenants, their credentials, and what a caller is allowed.

A key is a random token of 256 bits, kept as its sha256. A slow hash protects passwords that
people make up, because those can be guessed; nobody guesses 256 random bits, whatever the hash
costs, and a slow one would let callers without a key spend the server's time.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from moderation.core.errors import AccessReason, PermissionDenied, Unauthenticated

KEY_PREFIX = "mod_"
"""Starts every key, so that scanners for leaked secrets know one when they see it."""
NAME_PATTERN = "[a-z0-9]+(-[a-z0-9]+)*"
MAX_NAME_CHARACTERS = 64
SECRET_BYTES = 32
MAX_TOKEN_CHARACTERS = 8192
"""More than any token that is used, and less than the metadata may have."""

_KEY = re.compile(f"{KEY_PREFIX}(?P<id>{NAME_PATTERN})_(?P<secret>[A-Za-z0-9_-]{{43}})")
_NO_DIGEST = bytes(hashlib.sha256().digest_size)


class Role(StrEnum):
    """What a caller may do."""

    MODERATE = "moderate"
    """Have content judged."""
    READ = "read"
    """See the policies in force and the server's status."""
    ADMIN = "admin"
    """Everything."""


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """How much a tenant may ask at once and in a second; None: no limit of its own."""

    max_in_flight: int | None = None
    max_in_flight_bytes: int | None = None
    requests_per_s: float | None = None
    burst: float | None = None
    """How many requests may come at once; None: those of one second."""
    share: float | None = None
    """Its most of all places and bytes, 0..1, in place of the usual share."""


NO_LIMITS = TenantLimits()


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of the service, told apart from the others."""

    name: str
    profiles: frozenset[str] | None = None
    """What it may be judged by; None: every profile."""
    limits: TenantLimits = NO_LIMITS


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as a credential has shown."""

    tenant: Tenant
    roles: frozenset[Role]
    credential: str
    """How the log calls the credential: the id of a key, never its secret."""

    def require_role(self, role: Role) -> None:
        """Raise PermissionDenied unless the caller has the role."""
        if role not in self.roles and Role.ADMIN not in self.roles:
            raise PermissionDenied(AccessReason.WRONG_ROLE, self.credential)

    def require_tenant(self, name: str) -> None:
        """Raise PermissionDenied if the caller claims to be another tenant; empty: no claim."""
        if name and name != self.tenant.name:
            raise PermissionDenied(AccessReason.WRONG_TENANT, self.credential)

    def require_profile(self, profile: str) -> None:
        """Raise PermissionDenied if the tenant may not be judged by this profile."""
        if self.tenant.profiles is not None and profile not in self.tenant.profiles:
            raise PermissionDenied(AccessReason.WRONG_PROFILE, self.credential)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """What shows whose a call is, and what its owner may do, for as long as it counts."""

    id: str
    tenant: Tenant
    roles: frozenset[Role]
    expires: datetime | None = None
    is_revoked: bool = False

    def caller(self, now: datetime) -> Caller:
        """Whose it is; raises Unauthenticated where it does not count any more."""
        if self.is_revoked:
            raise Unauthenticated(AccessReason.REVOKED, self.id)
        if self.expires is not None and now >= self.expires:
            raise Unauthenticated(AccessReason.EXPIRED, self.id)
        return Caller(self.tenant, self.roles, self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey(Credential):
    """A key, known by its digest alone."""

    digest: bytes = field(repr=False)
    """sha256 of the whole key."""


class NameKind(StrEnum):
    """Where in a client's certificate a name stands."""

    URI = "uri"
    """Subject alternative name, such as a SPIFFE id."""
    DNS = "dns"
    """Subject alternative name."""
    COMMON_NAME = "common_name"
    """Of the subject."""


@dataclass(frozen=True, slots=True)
class CertificateName:
    """One name that a client's certificate has; names are equal as a whole or not at all."""

    kind: NameKind
    value: str
    """Of a DNS name in lower case."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificate(Credential):
    """A certificate as a credential, known by one of its names: its authority says whose it is."""

    name: CertificateName


ANYONE = Caller(Tenant(""), frozenset(Role), "")
"""Whoever asks where callers are not told apart."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every tenant and every key that is known now."""

    tenants: Mapping[str, Tenant]
    keys: Mapping[str, ApiKey]
    certificates: Mapping[CertificateName, ClientCertificate] = field(default_factory=dict)

    def caller_with(self, token: str, now: datetime) -> Caller:
        """Whose key that is; raises Unauthenticated."""
        parts = _KEY.fullmatch(token) if len(token) <= MAX_TOKEN_CHARACTERS else None
        if parts is None:
            raise Unauthenticated(AccessReason.MALFORMED)
        key = self.keys.get(parts["id"])
        # In constant time, and also where there is no such key: how long it takes tells nothing.
        is_right = hmac.compare_digest(digest_of(token), key.digest if key else _NO_DIGEST)
        if key is None or not is_right:
            raise Unauthenticated(AccessReason.UNKNOWN, parts["id"])
        return key.caller(now)

    def caller_named(self, names: Iterable[CertificateName], now: datetime) -> Caller | None:
        """Whose certificate has these names; None if it is no credential.

        Raises Unauthenticated for one that does not count any more, or that could be several's.
        """
        found = [self.certificates[name] for name in names if name in self.certificates]
        if len(found) > 1:
            raise Unauthenticated(AccessReason.AMBIGUOUS, min(one.id for one in found))
        return found[0].caller(now) if found else None


def key_from(key_id: str, secret: str) -> str:
    """The key that its owner sends; `secret` is 32 random bytes as base64 for URLs."""
    return f"{KEY_PREFIX}{key_id}_{secret}"


def digest_of(token: str) -> bytes:
    """How a key is kept."""
    return hashlib.sha256(token.encode()).digest()
