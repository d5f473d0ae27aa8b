"""How large a package may be, the same where it is packed and where it is used."""

from dataclasses import dataclass

MAX_ARCHIVE_BYTES = 64 * 2**20
MAX_DEPTH = 8
MAX_NAME_LENGTH = 240
MAX_SIGNATURE_BYTES = 64 * 1024
SIGNATURE_SUFFIX = ".sig"
"""Of the file beside the archive."""
USUAL_NAME = "policies.tar.gz"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be in a package."""

    archive_bytes: int = MAX_ARCHIVE_BYTES
    unpacked_bytes: int = 256 * 2**20
    files: int = 20_000


LIMITS = Limits()


def flaw_of_name(name: str) -> str:
    """What makes a name unfit for a package, whoever wrote it there; empty if nothing does.

    A name is relative, with `/` between its parts, and means the same on every system.
    """
    parts = name.split("/")
    if not name.isprintable() or "\\" in name or ":" in name:
        return "has a character that is not allowed in a package"
    if name.startswith("/") or ".." in parts:
        return "leads out of the package"
    if "" in parts or any(part.startswith(".") for part in parts):
        return "is hidden, or no plain path"
    if len(parts) > MAX_DEPTH or len(name.encode()) > MAX_NAME_LENGTH:
        return f"is longer than {MAX_NAME_LENGTH} bytes or {MAX_DEPTH} folders deep"
    return ""
