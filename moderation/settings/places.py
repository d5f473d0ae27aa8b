"""What follows from settings: addresses that others can reach, directories of this user."""

import os
from ipaddress import ip_address
from pathlib import Path

from moderation.settings.sections import Settings


def is_reachable_from_outside(host: str) -> bool:
    """Whether other machines can connect to this address."""
    if host == "localhost":
        return False
    try:
        return not ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return True


def reachable_here(host: str) -> str:
    """Where a server that listens on this address can be asked from its own machine."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host or "127.0.0.1"
    if address.is_unspecified:
        return "[::1]" if address.version == 6 else "127.0.0.1"
    return f"[{address}]" if address.version == 6 else host


def cache_directory() -> Path:
    """Where this user keeps what can be fetched or made again; not created here."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    # The standard says that a relative path there counts as none.
    base = Path(cache) if Path(cache).is_absolute() else Path("~/.cache").expanduser()
    return base / "moderation"


def bundle_store(settings: Settings) -> Path:
    """Where encoders are kept by name; not created here."""
    return Path(settings.encoder.store or cache_directory() / "bundles").expanduser()
