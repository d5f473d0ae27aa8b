"""What a change of policies does to contents that were seen before: who flips, and how far.

A corpus is scored with matrix products, in chunks that may be worked on
side by side: `tally` counts one, `merged` adds them up, `effects` sums up each
policy. A product over many contents rounds differently than over one. So where a
score lies so close to a threshold that this could matter, the content is scored
once more, alone, exactly as the service would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.decision import actions_of, enforced_on, is_audited
from moderation.core.policy import Action
from moderation.core.policy_plan import LinedUp, Plan
from moderation.core.proportions import Share
from moderation.core.scoring import score

BINS = 20
"""Of a histogram over the scores, 0..1."""
MOST_MOVED = 10
"""Contents kept for each policy."""
MAX_LISTED = 200_000
"""Flips that are kept one by one; all of them are counted."""
MAX_RECHECKED = 250
"""Contents of one chunk that are scored alone; only a threshold amid a heap of scores has more."""
CONTENT = -1
"""Stands for the action on the content as a whole where a policy could stand."""
N_ACTIONS = len(Action)

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
            moved=_furthest(self.moved.joined(other.moved)),
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


def tally(plan: Plan, corpus: Corpus, *, offset: int = 0) -> Tally:
    """Judge contents, at least one, by both sides; the first is the `offset`-th of all."""
    before, after = plan.scores(corpus)
    close = np.flatnonzero(_is_close(before, plan.old) | _is_close(after, plan.new))
    for position in close[:MAX_RECHECKED]:
        frames = corpus.frames_of(int(position))
        before[position] = _scores_alone(frames, plan.old)
        after[position] = _scores_alone(frames, plan.new)
    rechecked = min(len(close), MAX_RECHECKED)
    found = _count(plan, before, after, corpus.content_ids)
    return replace(
        found,
        flips=_shifted(found.flips, offset),
        moved=_shifted(found.moved, offset),
        rechecked=rechecked,
        unsure=len(close) - rechecked,
    )


def merged(tallies: Iterable[Tally]) -> Tally:
    """All of them together, in their order; there has to be one."""
    return reduce(Tally.joined, tallies)


def _count(
    plan: Plan,
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    content_ids: Sequence[str],
) -> Tally:
    was = actions_of(before, plan.old.review, plan.old.block)
    will = actions_of(after, plan.new.review, plan.new.block)
    content_was = _on_contents(was, plan.old, content_ids)
    content_will = _on_contents(will, plan.new, content_ids)
    # `take` keeps contents in rows, where an index would turn the arrays around.
    touched_was, touched_will = (one.take(plan.touched, axis=1) for one in (was, will))
    content, column = np.nonzero(touched_was != touched_will)
    policy = plan.touched[column]
    flips = _moves(content, policy, was, will, before, after)
    whole = np.flatnonzero(content_was != content_will)
    nothing = np.full(len(whole), np.nan)
    none = np.full(len(whole), CONTENT, dtype=np.intp)
    flips = flips.joined(
        Moves(whole, none, content_was[whole], content_will[whole], nothing, nothing)
    )
    return Tally(
        contents=len(before),
        actions=_transitions(content_was[:, None], content_will[:, None])[0],
        verdicts=_transitions(touched_was, touched_will),
        before=_histogram(before.take(plan.touched, axis=1)),
        after=_histogram(after.take(plan.touched, axis=1)),
        flips=flips,
        moved=_most_moved(plan, was, will, before, after),
    )


def _scores_alone(frames: Embeddings, lined: LinedUp) -> NDArray[np.float64]:
    return np.asarray(lined.scores(score(frames, lined.side.compiled).score[None])[0])


def _is_close(scores: NDArray[np.float64], lined: LinedUp) -> NDArray[np.bool_]:
    """Whether a content has a score that rounding could carry over a threshold."""
    is_near = np.zeros(scores.shape, dtype=np.bool_)
    for cut in (lined.review, lined.block):
        is_near |= (scores >= cut - lined.rounding) != (scores > cut + lined.rounding)
    return np.asarray(is_near.any(axis=1), dtype=np.bool_)


def _on_contents(
    actions: NDArray[np.int_], lined: LinedUp, content_ids: Sequence[str]
) -> NDArray[np.int_]:
    """The action on each content as a whole, from those of the policies."""
    mildest = int(Action.ALLOW)
    # A profile may select nothing but policies that are off.
    acting = np.where(_act(lined, content_ids), actions, mildest)
    strictest = np.asarray(acting.max(axis=1, initial=mildest))
    profile = lined.side.cuts.profile
    if profile.audit_share:
        audited = [is_audited(content_id, profile) for content_id in content_ids]
        strictest = np.where(audited, np.maximum(strictest, int(Action.REVIEW)), strictest)
    return strictest


def _act(lined: LinedUp, content_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Which policies act on which content, broadcast to bool[contents, policies]."""
    compiled = lined.side.compiled
    if not compiled.canaries:
        return lined.acts > 0.0
    enforced = np.stack([enforced_on(content_id, compiled) for content_id in content_ids])
    return (lined.at >= 0) & enforced[:, lined.at]


def _transitions(was: NDArray[np.int_], will: NDArray[np.int_]) -> Counts:
    columns = was.shape[1]
    cell = (was - 1) * N_ACTIONS + (will - 1) + np.arange(columns) * N_ACTIONS**2
    counts = np.bincount(cell.ravel(), minlength=columns * N_ACTIONS**2)
    return counts.reshape(columns, N_ACTIONS, N_ACTIONS)


def _histogram(scores: NDArray[np.float64]) -> Counts:
    columns = scores.shape[1]
    cell = np.minimum(scores * BINS, BINS - 1)  # a score of 1 belongs into the last bin
    # What does not judge goes into a bin of its own, which is thrown away.
    np.copyto(cell, BINS, where=np.isnan(scores))
    np.trunc(cell, out=cell)
    cell += np.arange(columns) * (BINS + 1)
    counts = np.bincount(cell.ravel().astype(np.intp), minlength=columns * (BINS + 1))
    return counts.reshape(columns, BINS + 1)[:, :BINS]


def _most_moved(
    plan: Plan,
    was: NDArray[np.int_],
    will: NDArray[np.int_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> Moves:
    columns = np.flatnonzero((plan.rescored_at >= 0) & (plan.old.at >= 0))
    nearness = -np.abs(after.take(columns, axis=1) - before.take(columns, axis=1))
    most = min(MOST_MOVED, len(before))
    chosen = np.argpartition(nearness, most - 1, axis=0)[:most]
    policy = np.broadcast_to(columns, chosen.shape)
    return _furthest(_moves(chosen.ravel(), policy.ravel(), was, will, before, after))


def _moves(
    content: NDArray[np.intp],
    policy: NDArray[np.intp],
    was: NDArray[np.int_],
    will: NDArray[np.int_],
    before: NDArray[np.float64],
    after: NDArray[np.float64],
) -> Moves:
    at = (content, policy)
    return Moves(content, policy, was[at], will[at], before[at], after[at])


def _furthest(moves: Moves) -> Moves:
    """Of each policy those that moved furthest; of equal ones, the earlier."""
    distance = np.abs(moves.score_after - moves.score_before)
    ordered = moves.rows(np.lexsort((moves.content, -distance, moves.policy)))
    rank = np.arange(len(ordered)) - np.searchsorted(ordered.policy, ordered.policy)
    return ordered.rows(rank < MOST_MOVED)


def _shifted(moves: Moves, offset: int) -> Moves:
    return replace(moves, content=moves.content + offset)
