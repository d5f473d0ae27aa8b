"""Keeping nothing, for those who need no memory of what was active."""

from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import PolicySet
from moderation.service.activation import Activation, Pin


class _KeepsNothing:
    """A PolicyKeeper with no memory."""

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        """See PolicyKeeper."""

    def kept(self, version: str) -> PolicySet:
        """See PolicyKeeper."""
        raise PolicySetRejected((Problem(version, 0, 0, "was not kept"),))

    def history(self) -> tuple[Activation, ...]:
        """See PolicyKeeper."""
        return ()

    def pin(self) -> Pin | None:
        """See PolicyKeeper."""
        return None

    def unpin(self) -> None:
        """See PolicyKeeper."""


NO_KEEPER = _KeepsNothing()
