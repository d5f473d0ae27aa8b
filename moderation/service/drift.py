"""Compares what policies score now with how their scores were distributed at a better time.

A window of fixed slots slides over the scores; each slot counts them by the
reference's bins, so that memory depends on the number of policies alone.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from moderation.core.decision import PolicyScores
from moderation.core.drift import BINS, Reference, stability_index
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import Policy
from moderation.core.scoring import CompiledPolicies
from moderation.service.ports import ChangeFeed

log = logging.getLogger(__name__)

SLOTS = 24
NOWHERE = -1


@dataclass(frozen=True, slots=True)
class References:
    """The references that can be used, by policy id, and what is wrong with the others."""

    by_policy: Mapping[str, Reference] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


class ReferenceSource(Protocol):
    """Where references come from."""

    def load(self, encoder_id: str) -> References:
        """Those for an encoder, none if there are none."""
        ...


@dataclass(frozen=True, slots=True)
class PolicyDrift:
    """How one policy's scores of the window compare with its reference."""

    policy_id: str
    is_outdated: bool
    """The policy was reworded since, or the encoder's scale is another: nothing is compared."""
    scores: int = 0
    """Contents in the window."""
    psi: float | None = None
    """None with too few contents for it to say anything."""


@dataclass(frozen=True, slots=True)
class DriftRules:
    """How long the window is, and how many scores it needs."""

    window_s: float
    min_scores: int


class DriftWatch:
    """Counts scores by their policies' references; scrapes may come from another thread."""

    def __init__(
        self,
        source: ReferenceSource,
        *,
        encoder: EncoderInfo,
        rules: DriftRules,
        active: Callable[[], CompiledPolicies | None],
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._encoder = encoder
        self._rules = rules
        self._active = active
        self._clock = clock
        self._lock = Lock()
        self._references: tuple[Reference, ...] = ()
        self._edges = np.zeros((0, BINS - 1))
        self._counts = np.zeros((SLOTS, 0, BINS), dtype=np.int64)
        self._slot = 0
        self._judged_by: tuple[Policy, ...] = ()
        self._rows: NDArray[np.intp] = np.zeros(0, dtype=np.intp)
        self._told: tuple[str, ...] = ()

    async def follow(self, feed: ChangeFeed) -> None:
        """Read the references after every burst of changes, until the feed is closed."""
        async for _ in feed.changes():
            read = await asyncio.to_thread(self._source.load, self._encoder.encoder_id)
            self.compare_with(read)

    def compare_with(self, read: References) -> None:
        """Use these references from now on; what was counted by one that stays is kept."""
        if read.problems != self._told:
            for problem in read.problems:
                log.warning(
                    "a reference for drift cannot be used: %s",
                    problem,
                    extra={"event": "drift_reference_unusable"},
                )
            self._told = read.problems
        references = tuple(read.by_policy.values())
        if references == self._references:
            return
        with self._lock:
            former = {one: row for row, one in enumerate(self._references)}
            counts = np.zeros((SLOTS, len(references), BINS), dtype=np.int64)
            for row, one in enumerate(references):
                if one in former:
                    counts[:, row] = self._counts[:, former[one]]
            self._references, self._counts = references, counts
            self._edges = _padded([one.edges for one in references], BINS - 1, np.inf)
            self._judged_by = ()

    def scored(self, scores: PolicyScores) -> None:
        """Count the raw scores of one content."""
        with self._lock:
            if scores.policies is not self._judged_by:
                self._rows = self._rows_of(scores.policies)
                self._judged_by = scores.policies
            self._turn()
            wanted = scores.judged & (self._rows != NOWHERE)
            rows = self._rows[wanted]
            bins = (scores.raw[wanted, None] > self._edges[rows]).sum(axis=1)
            self._counts[self._slot % SLOTS, rows, bins] += 1

    def drifts(self) -> tuple[PolicyDrift, ...]:
        """Of every active policy that has a reference."""
        active = self._active()
        policies = {} if active is None else {one.id: one for one in active.policies}
        with self._lock:
            self._turn()
            references, counts = self._references, self._counts.sum(axis=0)
        expected = _padded([one.counts for one in references], BINS, 0)
        totals = counts.sum(axis=1)
        is_enough = totals >= self._rules.min_scores
        index = np.full(len(references), np.nan)
        index[is_enough] = stability_index(expected[is_enough], counts[is_enough])
        return tuple(
            PolicyDrift(one.policy_id, is_outdated=False, scores=total, psi=psi if enough else None)
            if one.suits(policies[one.policy_id], self._encoder.scale)
            else PolicyDrift(one.policy_id, is_outdated=True)
            for one, total, psi, enough in zip(
                references, totals.tolist(), index.tolist(), is_enough.tolist(), strict=True
            )
            if one.policy_id in policies
        )

    def _rows_of(self, policies: Sequence[Policy]) -> NDArray[np.intp]:
        by_id = {one.policy_id: row for row, one in enumerate(self._references)}
        found = [
            row
            if (row := by_id.get(policy.id, NOWHERE)) != NOWHERE
            and self._references[row].suits(policy, self._encoder.scale)
            else NOWHERE
            for policy in policies
        ]
        return np.array(found, dtype=np.intp)

    def _turn(self) -> None:
        """Forget the slots that the window has left."""
        slot = int(self._clock() / self._rules.window_s * SLOTS)
        for left in range(max(self._slot + 1, slot - SLOTS + 1), slot + 1):
            self._counts[left % SLOTS] = 0
        self._slot = slot


def _padded(rows: Sequence[Sequence[float]], width: int, filler: float) -> NDArray[np.float64]:
    padded = np.full((len(rows), width), filler, dtype=np.float64)
    for row, values in zip(padded, rows, strict=True):
        row[: len(values)] = values
    return padded
