"""Who may call the service."""

from pydantic import Field

from moderation.settings.section import Section


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
