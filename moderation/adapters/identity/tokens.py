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

    def recognises(self, token: str) -> bool:
        """See Authenticator."""
        return not token.startswith(KEY_PREFIX) and token.count(".") == 2

    def caller_with(self, token: str, now: datetime) -> Caller:
        """See Authenticator; the time is PyJWT's own."""
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
        tenant = self._tenant(claims, credential)
        return Caller(tenant, self._roles(claims), credential)

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
