"""How it is told that a package cannot be used."""

from moderation.core.errors import PolicySetRejected, Problem


def refused(shown: str, message: str) -> PolicySetRejected:
    """About a package, a signature or a file of keys as a whole."""
    return PolicySetRejected((Problem(shown, 0, 0, message),))
