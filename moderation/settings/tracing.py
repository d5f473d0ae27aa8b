"""Where traces go, and how many of them."""

from pydantic import Field

from moderation.settings.section import Section

COLLECTOR = r"^$|^https?://[^@\s]+$"
"""Without a user and password, which would be shown: those go into headers."""


class TracingSettings(Section):
    """Traces by OpenTelemetry; they need the extra `tracing`."""

    endpoint: str = Field(
        "",
        pattern=COLLECTOR,
        description="Collector that takes OTLP over HTTP, such as http://collector:4318; "
        "empty: no traces.",
    )
    sample_ratio: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of the traces that begin here which is kept; those of callers are "
        "kept if the caller keeps them.",
    )
    service_name: str = Field(
        "moderation", min_length=1, description="Name of this service in traces."
    )
