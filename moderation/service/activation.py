"""What is remembered of each time that a policy set became the active one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from moderation.core.policy import PolicySet
from moderation.core.policy_diff import Fate, PartDiff, PolicySetDiff, diff_policy_sets

SHOWN_PARTS = 5
SHOWN_CHANGES = 2
"""Of each policy; `moderation policy diff` tells all."""
SHOWN_CHARACTERS = 60
"""Of each change."""


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
    if before is None:
        owners = {policy.owner for policy in after.policies}
        summary = f"first activation, {len(after.policies)} policies"
    else:
        diff = diff_policy_sets(before, after)
        owner_by_id = {one.id: one.owner for one in (*before.policies, *after.policies)}
        owners = {owner_by_id[part.id] for part in diff.policies}
        summary = "; ".join(_sentences(diff)) or "nothing but where it comes from"
    return Activation(
        version=after.version,
        activated_at=now,
        origin=origin,
        policies=len(after.policies),
        owners=tuple(sorted(owners - {""})),
        summary=summary,
    )


def source_version(history: Sequence[Activation]) -> str | None:
    """What the source was last found to mean, by activations with the newest first."""
    return next((one.version for one in history if one.origin is SetOrigin.SOURCE), None)


def version_before(history: Sequence[Activation]) -> str | None:
    """What was active before the present set, by activations with the newest first.

    A set that somebody went back from last time counts only once it was activated again: to go
    back again must not put it back.
    """
    seen = {one.version for one in history[:1]}
    for after, one in pairwise(history):
        if one.version not in seen and after.origin is not SetOrigin.ROLLBACK:
            return one.version
        seen.add(one.version)
    return None


def _sentences(diff: PolicySetDiff) -> Iterator[str]:
    for fate in Fate:
        told = [_told(kind, part) for kind, part in diff.parts if part.fate is fate]
        if told:
            yield f"{fate} {_listed(told, SHOWN_PARTS)}"


def _told(kind: str, part: PartDiff) -> str:
    name = part.id if kind == "policy" else f"{kind} {part.id}"
    if part.fate is not Fate.CHANGED:
        return name
    changes = [_cut(str(change)) for change in part.changes]
    return f"{name} ({_listed(changes, SHOWN_CHANGES)})"


def _listed(told: Sequence[str], most: int) -> str:
    more = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + more


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
