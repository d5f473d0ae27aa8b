"""What is kept of what was moderated."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from moderation.settings.section import Count, Seconds, Section


class RecentSettings(Section):
    """Embeddings of recent contents, on which a change of policies can be tried."""

    enabled: bool = Field(
        False, description="Keep them on disk; they are personal data where the pictures are."
    )
    directory: Path = Field(Path("var/recent"), description="Directory of the embeddings.")
    max_frames: Count = Field(100_000, description="Most frames kept, each about 2 KB.")
    max_age_s: Seconds = Field(7 * 86400.0, description="Longest that one is kept.")


class DecisionLogSettings(Section):
    """A record of every decision, to check, appeal and replay it."""

    directory: str = Field("", description="Directory of the decision log; empty: there is none.")
    mandatory: bool = Field(
        False, description="Give no answer that cannot be recorded; else answer and raise an alarm."
    )
    fsync: Literal["always", "interval", "never"] = Field(
        "interval",
        description="When records reach the disk: before the answer, every fsync_every_s, or "
        "when the operating system likes.",
    )
    fsync_every_s: Seconds = Field(1.0, description="How often, with fsync interval.")
    segment_bytes: int = Field(
        64 * 2**20, ge=4096, description="Size from which on a new file is begun."
    )
    segment_s: Seconds = Field(86400.0, description="Age from which on a new file is begun.")
    max_age_s: float = Field(
        90 * 86400.0,
        ge=0,
        allow_inf_nan=False,
        description="How long records are kept after their file was ended; 0: for good.",
    )
    max_bytes: int = Field(
        10 * 2**30, ge=0, description="Most bytes of a server's files, the oldest go; 0: no limit."
    )
    keep_embeddings: bool = Field(
        False, description="Keep embeddings in the records, for replays without the picture."
    )
    digest_key_file: str = Field(
        "", description="File with a key for the contents' digests; empty: plain sha256."
    )
    encryption_key_file: str = Field(
        "", description="File of Fernet keys, one a line, the first encrypts; empty: plain text."
    )
