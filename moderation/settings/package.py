"""Policies that come as a signed package, from somewhere else."""

from pathlib import Path

from pydantic import Field

from moderation.settings.addresses import is_safe_url, shown_url
from moderation.settings.section import Seconds, Section


class PackageSettings(Section):
    """A signed package of policies, for the server to go by instead of policies.directory."""

    source: str = Field(
        "",
        description="Where it is: a .tar.gz file, a folder with policies.tar.gz, or a URL, https "
        "or of this machine; empty: there is none.",
    )
    public_keys: str = Field(
        "",
        description="PEM files of the keys that may have signed it, separated by commas; with "
        "them the server goes by nothing that is not signed.",
    )
    min_serial: int = Field(
        0,
        ge=0,
        description="Refuse packages below this serial; for servers whose state_directory does "
        "not outlive them, which do not remember what they had.",
    )
    poll_s: Seconds = Field(
        30.0,
        description="How often to look at the URL; less often, up to 300 s, while it brings "
        "nothing that can be used.",
    )
    timeout_s: Seconds = Field(10.0, description="Longest that fetching one file may take.")
    ca_file: str = Field(
        "", description="PEM file of the authorities to trust instead of the usual ones."
    )
    token_file: str = Field(
        "", description="File of a bearer token to show to the server of the URL; empty: none."
    )

    @property
    def is_remote(self) -> bool:
        """Whether the package is at a URL."""
        return "://" in self.source

    @property
    def shown_source(self) -> str:
        """The path, or the URL as others may see it."""
        return shown_url(self.source) if self.is_remote else self.source

    @property
    def key_files(self) -> tuple[Path, ...]:
        """The files of public keys, one by one."""
        return tuple(Path(part.strip()) for part in self.public_keys.split(",") if part.strip())

    @property
    def contradiction(self) -> str:
        """What about these settings does not fit together, and what to do; empty if all does."""
        flaws = (
            (
                bool(self.source) and not self.key_files,
                "package.source needs package.public_keys: who may have signed the policies",
            ),
            (
                bool(self.key_files) and not self.source,
                "package.public_keys is set, and policies.directory holds files that nobody has "
                "signed; set package.source, or leave the keys away",
            ),
            (
                self.is_remote and not is_safe_url(self.source),
                "package.source must start with https://, or be of this machine",
            ),
            (
                self.is_remote and "@" in self.source.partition("://")[2].partition("/")[0],
                "package.source holds a user or password, which lists of settings would show; use "
                "package.token_file",
            ),
        )
        return next((told for is_there, told in flaws if is_there), "")
