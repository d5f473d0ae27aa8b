"""JSON Web Tokens (RFC 7519) as credentials: who signed them, for whom, until when, and for what.

What PyJWT checks is left to it: signature, algorithm, `exp`, `nbf`, `iat`, `aud`, `iss`. The keys
are only those of the issuer's JWK set; a token never brings its own.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import jwt

from moderation.adapters.identity.jwks import SigningKeys
from moderation.core.errors import AccessReason, PermissionDenied, Unauthenticated
from moderation.core.identity import (
    KEY_PREFIX,
    MAX_NAME_CHARACTERS,
    MAX_TOKEN_CHARACTERS,
    NAME_PATTERN,
    Caller,
    Role,
    Tenant,
    digest_of,
)

REASONS: Mapping[type[jwt.PyJWTError], AccessReason] = {
    jwt.ExpiredSignatureError: AccessReason.EXPIRED,
    jwt.ImmatureSignatureError: AccessReason.NOT_YET_VALID,
    jwt.InvalidAudienceError: AccessReason.WRONG_AUDIENCE,
    jwt.InvalidIssuerError: AccessReason.WRONG_ISSUER,
    jwt.InvalidAlgorithmError: AccessReason.WRONG_ALGORITHM,
    jwt.MissingRequiredClaimError: AccessReason.MISSING_CLAIM,
    jwt.InvalidSignatureError: AccessReason.WRONG_SIGNATURE,
}
"""What is not listed is malformed."""
MAX_KNOWN = 1024
"""How many tokens are remembered that were found right, by their digests."""
REQUIRED = ("exp", "iss", "aud")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must be, and where it says who its owner is."""

    issuer: str
    audience: str
    algorithms: tuple[str, ...]
    leeway_s: float
    tenant_claim: str
    roles_claim: str


@dataclass(frozen=True, slots=True)
class _Verified:
    """What a token says that was found right."""

    claims: Mapping[str, Any]
    credential: str
    expires: float
    """In seconds since 1970."""


class TokenAuthenticator:
    """An Authenticator for tokens of one issuer.

    `tenants` are those that there are; None if any name will do. `missing` is told that a
    token names a key that is not there: the issuer may have a new one.
    """

    def __init__(
        self,
        rules: TokenRules,
        *,
        keys: Callable[[], SigningKeys],
        tenants: Callable[[], Mapping[str, Tenant]] | None,
        missing: Callable[[], None],
    ) -> None:
        self._rules = rules
        self._keys = keys
        self._tenants = tenants
        self._missing = missing
        self._known_with = SigningKeys()
        self._known_by_digest: dict[bytes, _Verified] = {}

    def recognises(self, token: str) -> bool:
        """See Authenticator."""
        return not token.startswith(KEY_PREFIX) and token.count(".") == 2

    def caller_with(self, token: str, now: datetime) -> Caller:
        """See Authenticator; the time is PyJWT's own."""
        verified = self._known(token, now) or self._verified(token)
        tenant = self._tenant(verified.claims, verified.credential)
        return Caller(tenant, self._roles(verified.claims), verified.credential)

    def _known(self, token: str, now: datetime) -> "_Verified | None":
        """What was verified before with the keys of now; raises Unauthenticated if it expired.

        A signature takes the time of about fifty keys, and callers show a token for an hour.
        """
        if self._keys() is not self._known_with:
            self._known_with = self._keys()
            self._known_by_digest.clear()
        known = self._known_by_digest.get(digest_of(token))
        if known and now.timestamp() - self._rules.leeway_s >= known.expires:
            raise Unauthenticated(AccessReason.EXPIRED, known.credential)
        return known

    def _verified(self, token: str) -> "_Verified":
        key = self._key_of(token)
        credential = f"jwt:{key.key_id}"  # not the subject, which may be a person
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=list(self._rules.algorithms),
                audience=self._rules.audience,
                issuer=self._rules.issuer,
                leeway=self._rules.leeway_s,
                options={"require": list(REQUIRED)},
            )
        except jwt.PyJWTError as error:
            raise Unauthenticated(_reason(error), credential) from error
        verified = _Verified(claims, credential, float(claims["exp"]))
        if len(self._known_by_digest) >= MAX_KNOWN:
            self._known_by_digest.pop(next(iter(self._known_by_digest)))
        self._known_by_digest[digest_of(token)] = verified
        return verified

    def _key_of(self, token: str) -> jwt.PyJWK:
        if len(token) > MAX_TOKEN_CHARACTERS:
            raise Unauthenticated(AccessReason.MALFORMED)
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise Unauthenticated(_reason(error)) from error
        if header.get("alg") not in self._rules.algorithms:
            raise Unauthenticated(AccessReason.WRONG_ALGORITHM)
        key = self._keys().by_id.get(header.get("kid", ""))
        if key is None:
            self._missing()
            raise Unauthenticated(AccessReason.UNKNOWN)
        return key

    def _tenant(self, claims: Mapping[str, Any], credential: str) -> Tenant:
        name = claims.get(self._rules.tenant_claim)
        is_name = isinstance(name, str) and len(name) <= MAX_NAME_CHARACTERS
        if not is_name or not re.fullmatch(NAME_PATTERN, str(name)):
            raise Unauthenticated(AccessReason.MISSING_CLAIM, credential)
        if self._tenants is None:
            return Tenant(str(name))
        tenant = self._tenants().get(str(name))
        if tenant is None:
            raise PermissionDenied(AccessReason.WRONG_TENANT, credential)
        return tenant

    def _roles(self, claims: Mapping[str, Any]) -> frozenset[Role]:
        """Words that are no roles of ours are for others."""
        written = claims.get(self._rules.roles_claim, ())
        words = written.split() if isinstance(written, str) else written
        words = words if isinstance(words, list | tuple) else ()
        return frozenset(role for role in Role if role.value in words)


def _reason(error: jwt.PyJWTError) -> AccessReason:
    return REASONS.get(type(error), AccessReason.MALFORMED)
