"""Judges a chunk of contents by two policy sets, and counts what differs.

All contents are scored by matrix products. A product over many contents rounds
differently than over one. So where a score lies so close to a threshold that this could
matter, the content is scored once more, alone, exactly as the service would.

Policies have a row each and contents a column, in the smallest types that hold them:
a diff goes over hundreds of millions of scores, and their memory is what takes the time
that multiplying leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.content import Embeddings
from moderation.core.corpus import Corpus
from moderation.core.decision import actions_of, enforced_on, is_audited
from moderation.core.policy import Action
from moderation.core.policy_effect import BINS, CONTENT, MOST_MOVED, Counts, Moves, Tally, furthest
from moderation.core.policy_plan import LinedUp, Plan
from moderation.core.scoring import score

MAX_RECHECKED = 250
"""Contents of one chunk that are scored alone; only a threshold amid a heap of scores has more."""
N_ACTIONS = len(Action)

Scores = NDArray[np.float32]
Actions = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class _Judged:
    """What both sides say of the contents of a chunk."""

    before: Scores
    """float32[policies, contents], NaN where one does not judge."""
    after: Scores
    """float32[touched policies, contents]."""
    was: Actions
    """int8[policies, contents]."""
    will: Actions
    """int8[policies, contents]."""

    def moves(self, plan: Plan, row: NDArray[np.intp], content: NDArray[np.intp]) -> Moves:
        """Contents that changed under the touched policies of these rows."""
        policy = plan.touched[row]
        return Moves(
            content=content,
            policy=policy,
            before=self.was[policy, content].astype(np.int_),
            after=self.will[policy, content].astype(np.int_),
            score_before=self.before[policy, content].astype(np.float64),
            score_after=self.after[row, content].astype(np.float64),
        )


def tally(plan: Plan, corpus: Corpus, *, offset: int = 0) -> Tally:
    """Judge contents, at least one, by both sides; the first is the `offset`-th of all."""
    judged, close = _judge(plan, corpus)
    rechecked = close[:MAX_RECHECKED]
    for position in rechecked.tolist():
        _judge_alone(plan, judged, corpus.frames_of(position), position)
    flips, actions = _on_contents(plan, judged, corpus.content_ids)
    was, will = judged.was.take(plan.touched, axis=0), judged.will.take(plan.touched, axis=0)
    row, content = _where(was != will)
    order = np.argsort(content, kind="stable")
    return Tally(
        contents=len(corpus),
        actions=actions,
        verdicts=_transitions(was, will),
        before=_histogram(judged.before.take(plan.touched, axis=0)),
        after=_histogram(judged.after),
        flips=judged.moves(plan, row[order], content[order]).joined(flips).shifted(offset),
        moved=_most_moved(plan, judged).shifted(offset),
        rechecked=len(rechecked),
        unsure=len(close) - len(rechecked),
    )


def _judge(plan: Plan, corpus: Corpus) -> tuple[_Judged, NDArray[np.intp]]:
    """Also the contents that have a score which rounding could carry over a threshold."""
    before, after = plan.scores(corpus)
    every = np.arange(len(plan.policy_ids))
    was, is_close = _actions(before, plan.old, every)
    changed, is_close_after = _actions(after, plan.new, plan.touched)
    will = was.copy()
    will[plan.touched] = changed
    return _Judged(before, after, was, will), np.flatnonzero(is_close | is_close_after)


def _judge_alone(plan: Plan, judged: _Judged, frames: Embeddings, position: int) -> None:
    """Put what the service itself says of one content in the place of what was found."""
    before, after = (
        lined.scores(score(frames, lined.side.compiled).score) for lined in (plan.old, plan.new)
    )
    judged.before[:, position], judged.after[:, position] = before, after[plan.touched]
    judged.was[:, position] = actions_of(before, plan.old.review, plan.old.block)
    judged.will[:, position] = actions_of(after, plan.new.review, plan.new.block)


def _actions(
    scores: Scores, lined: LinedUp, policies: NDArray[np.intp]
) -> tuple[Actions, NDArray[np.bool_]]:
    """The actions, and whether a content has one that rounding could change, bool[contents]."""
    review, block, rounding = (
        one[policies, None] for one in (lined.review, lined.block, lined.rounding)
    )
    # A cut's own rounding is far less than what `rounding` allows for.
    lowest, highest = (
        np.stack([review + sign * rounding, block + sign * rounding]).astype(np.float32)
        for sign in (-1, 1)
    )
    actions = (scores >= lowest[0]).view(np.int8)
    actions += (scores >= lowest[1]).view(np.int8)
    at_most = (scores > highest[0]).view(np.int8)
    at_most += (scores > highest[1]).view(np.int8)
    is_close = (actions != at_most).any(axis=0)
    actions += int(Action.ALLOW)
    return actions, is_close


def _on_contents(plan: Plan, judged: _Judged, content_ids: Sequence[str]) -> tuple[Moves, Counts]:
    """The contents on which the action as a whole flips, and how many went from which to which."""
    was = _strictest(judged.was, plan.old, content_ids)
    will = _strictest(judged.will, plan.new, content_ids)
    content = np.flatnonzero(was != will)
    nothing = np.full(len(content), np.nan)
    flips = Moves(
        content=content,
        policy=np.full(len(content), CONTENT, dtype=np.intp),
        before=was[content].astype(np.int_),
        after=will[content].astype(np.int_),
        score_before=nothing,
        score_after=nothing,
    )
    return flips, _transitions(was[None], will[None])[0]


def _strictest(actions: Actions, lined: LinedUp, content_ids: Sequence[str]) -> Actions:
    """The action on each content as a whole, int8[contents]."""
    mildest = int(Action.ALLOW)
    # A profile may select nothing but policies that are off.
    acting = np.where(_act(lined, content_ids), actions, np.int8(mildest))
    strictest = np.asarray(acting.max(axis=0, initial=mildest))
    profile = lined.side.cuts.profile
    if profile.audit_share:
        audited = [is_audited(content_id, profile) for content_id in content_ids]
        strictest[audited] = np.maximum(strictest[audited], int(Action.REVIEW))
    return strictest


def _act(lined: LinedUp, content_ids: Sequence[str]) -> NDArray[np.bool_]:
    """Which policies act on which content, broadcast to bool[policies, contents]."""
    compiled = lined.side.compiled
    if not compiled.canaries:
        return lined.acts[:, None] > 0.0
    enforced = np.stack([enforced_on(content_id, compiled) for content_id in content_ids], axis=1)
    return (lined.at >= 0)[:, None] & enforced[lined.at]


def _where(is_true: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns; `nonzero` of two dimensions takes five times as long."""
    row, column = np.divmod(np.flatnonzero(is_true), is_true.shape[1])
    return row, column


def _transitions(was: Actions, will: Actions) -> Counts:
    rows, contents = was.shape
    cell = (was - 1) * np.int8(N_ACTIONS) + (will - 1)
    row, content = _where(cell != 0)  # nearly all are simply allowed, before and after
    at = row * N_ACTIONS**2 + cell[row, content]
    counts = np.bincount(at, minlength=rows * N_ACTIONS**2).reshape(rows, N_ACTIONS**2)
    counts[:, 0] = contents - counts.sum(axis=1)
    return counts.reshape(rows, N_ACTIONS, N_ACTIONS)


def _histogram(scores: Scores) -> Counts:
    counts = np.zeros((len(scores), BINS), dtype=np.int64)
    judging = np.flatnonzero(~np.isnan(scores[:, 0]))
    cell = (scores[judging] * np.float32(BINS)).astype(np.intp)
    np.minimum(cell, BINS - 1, out=cell)  # a score of 1 belongs into the last bin
    cell += np.arange(len(judging))[:, None] * BINS
    counts[judging] = np.bincount(cell.ravel(), minlength=cell.shape[0] * BINS).reshape(-1, BINS)
    return counts


def _most_moved(plan: Plan, judged: _Judged) -> Moves:
    is_moved = (plan.rescored_at[plan.touched] >= 0) & (plan.old.at[plan.touched] >= 0)
    rows = np.flatnonzero(is_moved)
    nearness = -np.abs(judged.after[rows] - judged.before[plan.touched[rows]])
    most = min(MOST_MOVED, nearness.shape[1])
    chosen = np.argpartition(nearness, most - 1, axis=1)[:, :most]
    row = np.broadcast_to(rows[:, None], chosen.shape)
    return furthest(judged.moves(plan, row.ravel(), chosen.ravel()))
