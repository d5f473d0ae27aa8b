"""Where traces go, and how many of them."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from moderation.settings.section import Section

COLLECTOR = re.compile(r"https?://[^@\s]+")
"""Without a user and password, which would be shown: those go into headers."""


def _collector(endpoint: str) -> str:
    if endpoint and not COLLECTOR.fullmatch(endpoint):
        raise PydanticCustomError(
            "endpoint",
            "must be a URL that starts with http:// or https:// and names no user or password, "
            "such as http://collector:4318",
        )
    return endpoint


class TracingSettings(Section):
    """Traces by OpenTelemetry; they need the extra `tracing`."""

    endpoint: Annotated[str, AfterValidator(_collector)] = Field(
        "",
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
