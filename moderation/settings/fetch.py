"""Images that a request names instead of carrying them."""

from pathlib import Path

from pydantic import Field

from moderation.settings.section import Count, Seconds, Section


class FetchSettings(Section):
    """Images that a request names by `uri`; off until a host or a folder is allowed."""

    hosts: str = Field(
        "",
        description="Hosts to fetch from over HTTPS, separated by commas: a name, name:port, or "
        ".name for all below it.",
    )
    private_networks: bool = Field(
        False, description="Let those hosts be in private networks too, loopback included."
    )
    ca_file: str = Field(
        "", description="PEM file of the authorities to trust instead of the usual ones."
    )
    file_roots: str = Field(
        "", description="Folders to read `file:` URIs from, separated by commas."
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
        return bool(self.hosts or self.file_roots)

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders, one by one."""
        return tuple(Path(part.strip()) for part in self.file_roots.split(",") if part.strip())
