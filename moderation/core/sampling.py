"""Stable random shares: which content belongs to one is the same everywhere and for ever."""

import hashlib

_STEPS = float(2**64)


def draw(content_id: str, purpose: str) -> float:
    """A number in 0..1 that looks random and depends on these two texts alone.

    Below `share` lies that share of all contents. Draws for different purposes
    are independent of one another.
    """
    # Neither text can hold the separator: ids with control characters are refused.
    digest = hashlib.sha256(f"{content_id}\0{purpose}".encode()).digest()
    return int.from_bytes(digest[:8]) / _STEPS
