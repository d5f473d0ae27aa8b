"""What is remembered of each time that a policy set became the active one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from moderation.core.policy import Policy, PolicySet

SHOWN_IDS = 5


class SetOrigin(StrEnum):
    """Where an active policy set came from."""

    SOURCE = "source"
    KEPT = "kept"
    """The last activation, kept because the source could not be used at the start."""
    ROLLBACK = "rollback"
    """An older set that somebody put back."""


@dataclass(frozen=True, slots=True)
class Activation:
    """One time that a policy set became the active one."""

    version: str
    activated_at: datetime
    origin: SetOrigin
    policies: int
    owners: tuple[str, ...]
    """Of the policies that changed."""
    summary: str
    """What changed since the activation before, on one line."""


@dataclass(frozen=True, slots=True)
class Pin:
    """Somebody's wish to have an older set in place of what the source means now."""

    version: str
    instead_of: str
    """The wish ends when the source means anything else than this."""


def activation_of(
    after: PolicySet, before: PolicySet | None, *, origin: SetOrigin, now: datetime
) -> Activation:
    """The record of `after` taking the place of `before`."""
    old = _by_id(before.policies if before else ())
    new = _by_id(after.policies)
    changed = {name for name in old.keys() & new.keys() if old[name].digest != new[name].digest}
    touched = [*changed, *(old.keys() ^ new.keys())]
    owners = {(new.get(name) or old[name]).owner for name in touched} - {""}
    return Activation(
        version=after.version,
        activated_at=now,
        origin=origin,
        policies=len(after.policies),
        owners=tuple(sorted(owners)),
        summary="; ".join(_sentences(old, new, changed, before, after)),
    )


def source_version(history: Sequence[Activation]) -> str | None:
    """What the source was last found to mean, by activations with the newest first."""
    return next((one.version for one in history if one.origin is SetOrigin.SOURCE), None)


def _sentences(
    old: Mapping[str, Policy],
    new: Mapping[str, Policy],
    changed: set[str],
    before: PolicySet | None,
    after: PolicySet,
) -> Iterator[str]:
    if before is None:
        yield f"first activation, {len(new)} policies"
        return
    if before.version == after.version:
        yield "nothing but where it comes from"
        return
    kinds = (("added", new.keys() - old), ("removed", old.keys() - new), ("changed", changed))
    for word, ids in kinds:
        if ids:
            yield f"{word} {_listed(sorted(ids))}"
    for part in ("profiles", "categories", "calibrations"):
        if getattr(before, part) != getattr(after, part):
            yield f"{part} changed"


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - SHOWN_IDS} more" if len(ids) > SHOWN_IDS else ""
    return ", ".join(ids[:SHOWN_IDS]) + more


def _by_id(policies: Sequence[Policy]) -> Mapping[str, Policy]:
    return {policy.id: policy for policy in policies}
