"""Keeps thresholds away from encoders that they were not set for.

A threshold is a number on one encoder's scale: under another one it flags more,
or less, than whoever set it has seen.
"""

from dataclasses import dataclass

from moderation.core.encoder import EncoderInfo
from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import BindingRule, BoundEncoder, PolicySet
from moderation.service.activation import Activation, Pin
from moderation.service.ports import PolicyKeeper, PolicySource, Telemetry


def misfit(policy_set: PolicySet, running: EncoderInfo, rule: BindingRule) -> Problem | None:
    """That the thresholds were set for another encoder, unless the rule is to ignore that."""
    bound = policy_set.encoder
    is_ignored = rule is BindingRule.IGNORE
    if bound is None or bound.encoder_id == running.encoder_id or is_ignored:
        return None
    message = (
        f"these thresholds were set for encoder {bound.name} ({bound.encoder_id[:12]}), and "
        f"{running.name} ({running.encoder_id[:12]}) is running; fit them with `moderation "
        "encoder compare` and confirm with `moderation encoder bind`"
    )
    if rule is BindingRule.REFUSE:
        message += ", or set policies.encoder_binding to warn"
    return Problem(bound.file, 0, 0, message)


class BindingGuard:
    """Refuses, or tells of, a policy set that is bound to another encoder than the running one."""

    def __init__(self, running: EncoderInfo, rule: BindingRule, telemetry: Telemetry) -> None:
        self._running = running
        self._rule = rule
        self._telemetry = telemetry
        self._told: tuple[BoundEncoder | None, bool] | None = None

    def passed(self, policy_set: PolicySet) -> PolicySet:
        """The set itself; raises PolicySetRejected."""
        problem = misfit(policy_set, self._running, self._rule)
        if problem and self._rule is BindingRule.REFUSE:
            raise PolicySetRejected((problem,))
        if self._rule is not BindingRule.IGNORE:
            self._tell(policy_set.encoder, problem is None)
        return policy_set

    def _tell(self, bound: BoundEncoder | None, suits: bool) -> None:
        """Once, not at every look at unchanged files."""
        if self._told != (bound, suits):
            self._told = (bound, suits)
            self._telemetry.binding_checked(bound, suits=suits)


@dataclass(frozen=True, slots=True)
class BoundPolicySource:
    """A PolicySource whose sets have passed the guard."""

    source: PolicySource
    guard: BindingGuard

    def load(self) -> PolicySet:
        """See PolicySource."""
        return self.guard.passed(self.source.load())


@dataclass(frozen=True, slots=True)
class BoundPolicyKeeper:
    """A PolicyKeeper whose sets have passed the guard: they were kept under another encoder."""

    keeper: PolicyKeeper
    guard: BindingGuard

    def keep(self, policy_set: PolicySet, activation: Activation) -> None:
        """See PolicyKeeper."""
        self.keeper.keep(policy_set, activation)

    def kept(self, version: str) -> PolicySet:
        """See PolicyKeeper."""
        return self.guard.passed(self.keeper.kept(version))

    def history(self) -> tuple[Activation, ...]:
        """See PolicyKeeper."""
        return self.keeper.history()

    def pin(self) -> Pin | None:
        """See PolicyKeeper."""
        return self.keeper.pin()

    def unpin(self) -> None:
        """See PolicyKeeper."""
        self.keeper.unpin()
