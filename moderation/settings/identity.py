"""Who may call the service."""

from urllib.parse import urlsplit

from pydantic import Field

from moderation.settings.addresses import is_safe_url
from moderation.settings.section import Seconds, Section

ASYMMETRIC = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA"),
)
"""Signatures that who can check them cannot make."""


class IdentitySettings(Section):
    """Credentials of callers; without any, everybody who reaches the port may call everything."""

    keys_file: str = Field("", description="File of tenants and API keys; empty: there is none.")
    max_tenant_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Most that one of several tenants may have of all places and bytes; the file "
        "of keys may say otherwise for a tenant.",
    )
    jwks_file: str = Field(
        "", description="File of the JWK set whose keys sign tokens (JWT); empty: none."
    )
    jwks_url: str = Field(
        "", description="Where to fetch the JWK set instead: https, or http from this machine."
    )
    jwks_refresh_s: Seconds = Field(
        300.0, description="How often it is fetched; an unknown key asks for it sooner."
    )
    jwt_issuer: str = Field("", description="The `iss` that a token must have.")
    jwt_audience: str = Field("", description="The `aud` that a token must have.")
    jwt_algorithms: str = Field(
        "RS256,ES256,EdDSA", description="Signatures that are taken, with commas between."
    )
    jwt_leeway_s: float = Field(
        30.0, ge=0, le=300, description="How far the issuer's clock may be off."
    )
    jwt_tenant_claim: str = Field("tenant", description="The claim with the tenant's name.")
    jwt_roles_claim: str = Field(
        "roles", description="The claim with the roles, a list or words with spaces between."
    )

    @property
    def takes_tokens(self) -> bool:
        """Whether callers may show tokens."""
        return bool(self.jwks_file or self.jwks_url)

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The signatures that are taken, one by one."""
        return tuple(one.strip() for one in self.jwt_algorithms.split(",") if one.strip())

    @property
    def contradiction(self) -> str:
        """What about these settings does not fit together, and what to do; empty if all does."""
        if not self.takes_tokens:
            return ""
        refused = [one for one in self.algorithms if one not in ASYMMETRIC]
        flaws = (
            (
                bool(self.jwks_file and self.jwks_url),
                "identity.jwks_file and identity.jwks_url are both set; keep one of them",
            ),
            (
                bool(self.jwks_url) and not is_safe_url(self.jwks_url),
                "identity.jwks_url must start with https://, or be of this machine",
            ),
            (
                "@" in urlsplit(self.jwks_url).netloc,
                "identity.jwks_url holds a user or password, which lists of settings would show",
            ),
            (
                not (self.jwt_issuer and self.jwt_audience),
                "tokens need identity.jwt_issuer and identity.jwt_audience; set both",
            ),
            (
                bool(refused) or not self.algorithms,
                f"identity.jwt_algorithms: {', '.join(refused) or 'nothing'}; "
                f"use some of {', '.join(ASYMMETRIC)}",
            ),
        )
        return next((told for is_there, told in flaws if is_there), "")
