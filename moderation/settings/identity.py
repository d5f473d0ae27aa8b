"""Who may call the service."""

from pydantic import Field

from moderation.settings.section import Section


class IdentitySettings(Section):
    """Credentials of callers; without any, everybody who reaches the port may call everything."""

    keys_file: str = Field("", description="File of tenants and API keys; empty: there is none.")
