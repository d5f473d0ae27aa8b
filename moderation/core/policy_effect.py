"""What a change of policies does to contents that were seen before: who flips, and how far.

A corpus is judged in chunks that may be worked on side by side: `policy_tally` counts
one, `merged` adds them up, `effects` sums up each policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from moderation.core.policy_plan import Plan
from moderation.core.proportions import Share

BINS = 20
"""Of a histogram over the scores, 0..1."""
MOST_MOVED = 10
"""Contents kept for each policy."""
MAX_LISTED = 200_000
"""Flips that are kept one by one; all of them are counted."""
CONTENT = -1
"""Stands for the action on the content as a whole where a policy could stand."""

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Moves:
    """Contents that changed under a policy, a row each; all arrays have one length."""

    content: NDArray[np.intp]
    policy: NDArray[np.intp]
    """Position in the plan, or CONTENT, whose scores are NaN."""
    before: NDArray[np.int_]
    """The action."""
    after: NDArray[np.int_]
    score_before: NDArray[np.float64]
    """NaN where the policy did not judge."""
    score_after: NDArray[np.float64]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.content)

    def rows(self, chosen: NDArray[np.intp] | NDArray[np.bool_] | slice) -> "Moves":
        """Some of the rows."""
        return Moves(*(getattr(self, one.name)[chosen] for one in fields(self)))

    def shifted(self, contents: int) -> "Moves":
        """The same, where so many contents stand before the first one."""
        return replace(self, content=self.content + contents)

    def joined(self, other: "Moves") -> "Moves":
        """Both, these first."""
        pairs = ((getattr(self, one.name), getattr(other, one.name)) for one in fields(self))
        return Moves(*map(np.concatenate, pairs))


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts over some contents."""

    contents: int
    actions: Counts
    """Of contents, int[before, after]."""
    verdicts: Counts
    """Of contents, int[touched policies, before, after]."""
    before: Counts
    """Histogram of the scores, int[touched policies, BINS]."""
    after: Counts
    flips: Moves
    """Changed actions, by policy and as a whole; at most MAX_LISTED."""
    moved: Moves
    """The contents whose score moved furthest, at most MOST_MOVED a policy."""
    rechecked: int = 0
    unsure: int = 0
    """Contents too close to a threshold to be sure of that were not scored alone."""

    def joined(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(
            contents=self.contents + other.contents,
            actions=self.actions + other.actions,
            verdicts=self.verdicts + other.verdicts,
            before=self.before + other.before,
            after=self.after + other.after,
            flips=self.flips.joined(other.flips).rows(slice(MAX_LISTED)),
            moved=furthest(self.moved.joined(other.moved)),
            rechecked=self.rechecked + other.rechecked,
            unsure=self.unsure + other.unsure,
        )


@dataclass(frozen=True, slots=True)
class Effect:
    """What the change does to the verdicts of one policy, or to the actions on contents."""

    contents: int
    transitions: Counts
    """int[before, after]."""

    @property
    def flips(self) -> Share:
        """Contents whose action changed."""
        return Share(self.contents - int(np.trace(self.transitions)), self.contents)

    @property
    def stricter(self) -> int:
        """Contents on which the action is stricter than before."""
        return int(np.triu(self.transitions, 1).sum())

    @property
    def milder(self) -> int:
        """Contents on which the action is milder than before."""
        return int(np.tril(self.transitions, -1).sum())

    @property
    def flagged_before(self) -> Share:
        """Contents that were not simply allowed."""
        return Share(self.contents - int(self.transitions[0].sum()), self.contents)

    @property
    def flagged_after(self) -> Share:
        """Contents that are no longer, or still not, simply allowed."""
        return Share(self.contents - int(self.transitions[:, 0].sum()), self.contents)


def effects(plan: Plan, total: Tally) -> tuple[Effect, dict[str, Effect]]:
    """The effect on contents as a whole, and on the verdicts of each touched policy by its id."""
    by_policy = {
        policy_id: Effect(total.contents, total.verdicts[position])
        for position, policy_id in enumerate(plan.touched_ids)
    }
    return Effect(total.contents, total.actions), by_policy


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them together, in their order; there has to be one."""
    return reduce(Tally.joined, tallies)


def furthest(moves: Moves) -> Moves:
    """Of each policy those that moved furthest; of equal ones, the earlier."""
    distance = np.abs(moves.score_after - moves.score_before)
    ordered = moves.rows(np.lexsort((moves.content, -distance, moves.policy)))
    rank = np.arange(len(ordered)) - np.searchsorted(ordered.policy, ordered.policy)
    return ordered.rows(rank < MOST_MOVED)
