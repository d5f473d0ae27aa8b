"""Images that a request names instead of carrying them."""

from pathlib import Path

from pydantic import Field

from moderation.settings.section import Count, Seconds, Section


class FetchSettings(Section):
    """Images that a request names by `uri`; off until a host, folder or bucket is allowed."""

    hosts: str = Field(
        "",
        description="Hosts to fetch from over HTTPS, separated by commas: a name, name:port, or "
        ".name for all below it.",
    )
    private_networks: bool = Field(
        False, description="Let hosts and stores be in private networks too, loopback included."
    )
    ca_file: str = Field(
        "", description="PEM file of the authorities to trust instead of the usual ones."
    )
    file_roots: str = Field(
        "", description="Folders to read `file:` URIs from, separated by commas."
    )
    buckets: str = Field(
        "",
        description="Buckets to fetch from, separated by commas: s3://name or gs://name. They "
        "need the extras s3 and gs.",
    )
    s3_region: str = Field("", description="Region that requests to s3 buckets are signed for.")
    s3_endpoint: str = Field(
        "https://{bucket}.s3.{region}.amazonaws.com",
        description="Where s3 buckets are; without {bucket} they are folders there.",
    )
    s3_anonymous: bool = Field(
        False, description="Ask s3 buckets without credentials, for what everybody may read."
    )
    s3_instance_metadata: bool = Field(
        False, description="Let AWS credentials come from the instance's metadata address."
    )
    gs_endpoint: str = Field(
        "https://storage.googleapis.com", description="Where gs buckets are, as s3_endpoint."
    )
    gs_credentials_file: str = Field(
        "", description="Key file of a service account; empty: only what everybody may read."
    )
    timeout_s: Seconds = Field(5.0, description="Longest that fetching one image may take.")
    max_redirects: int = Field(3, ge=0, le=10, description="Most redirects to follow.")
    max_in_flight: Count = Field(
        8,
        description="Most images fetched at once, each of up to decode.max_image_bytes in memory.",
    )

    @property
    def is_on(self) -> bool:
        """Whether anything may be fetched at all."""
        return bool(self.hosts or self.file_roots or self.buckets)

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders, one by one."""
        return tuple(Path(part.strip()) for part in self.file_roots.split(",") if part.strip())
