"""Two policy sets side by side: which policies judge in which, and whose scores differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moderation.core.calibration import Fit
from moderation.core.corpus import Corpus
from moderation.core.curves import Real
from moderation.core.policy import Policy
from moderation.core.rescoring import Rescoring, rounding_of
from moderation.core.scoring import CompiledPolicies, ProfileCuts
from moderation.core.solving import fit_of


@dataclass(frozen=True, slots=True)
class Side:
    """One policy set, compiled, as it judges by one profile."""

    compiled: CompiledPolicies
    cuts: ProfileCuts

    @classmethod
    def of(cls, compiled: CompiledPolicies, profile: str) -> "Side":
        """Raises UnknownName if the set has no such profile."""
        return cls(compiled, compiled.cuts[compiled.policy_set.profile(profile).id])

    @property
    def judging(self) -> Mapping[str, int]:
        """Positions, by id, of the policies that the profile selects."""
        positions = self.compiled.positions
        return {one: place for one, place in positions.items() if self.cuts.selected[place]}

    def policy(self, policy_id: str) -> Policy:
        """A policy that judges here."""
        return self.compiled.policies[self.compiled.positions[policy_id]]


@dataclass(frozen=True, slots=True)
class LinedUp:
    """A side, its arrays brought into the order of a plan's policies."""

    side: Side
    at: NDArray[np.intp]
    """Position in the side, -1 where the policy does not judge there."""
    review: NDArray[np.float64]
    """Infinite where the policy does not judge."""
    block: NDArray[np.float64]
    acts: NDArray[np.float64]
    """The share of contents on which the policy acts: 0 for a shadow, between for a canary."""
    rounding: NDArray[np.float64]
    """See `rounding_of`."""

    @classmethod
    def of(cls, side: Side, policy_ids: Sequence[str]) -> "LinedUp":
        """A side in the order of these policies."""
        at = _places(policy_ids, side.judging)
        acts = side.compiled.enforced.astype(np.float64)
        for position, share in side.compiled.canaries.items():
            acts[position] = share
        return cls(
            side=side,
            at=at,
            review=np.where(at < 0, np.inf, side.cuts.review[at]),
            block=np.where(at < 0, np.inf, side.cuts.block[at]),
            acts=np.where(at < 0, 0.0, acts[at]),
            rounding=rounding_of(side.compiled)[at],
        )

    def scores(self, by_side: NDArray[Real]) -> NDArray[Real]:
        """Scores [policies, ...] of the side in this order, NaN where one does not judge there."""
        ordered = by_side.take(self.at, axis=0)
        ordered[self.at < 0] = np.nan
        return ordered


@dataclass(frozen=True, slots=True)
class Plan:
    """Both sides in the order of `policy_ids`: all that judge on either side."""

    policy_ids: tuple[str, ...]
    old: LinedUp
    new: LinedUp
    rescored: CompiledPolicies | None
    """The policies of the new side whose old scores do not hold; None if there are none."""
    rescored_at: NDArray[np.intp]
    """Position among those; -1 where the old score holds, or there is no new one."""
    rescoring: Rescoring
    """Scores by the old side, and by the rescored policies if there are any."""
    touched: NDArray[np.intp]
    """Positions, in this plan, of the policies whose verdicts may differ."""

    @property
    def touched_ids(self) -> tuple[str, ...]:
        """The policies whose verdicts may differ."""
        return tuple(self.policy_ids[position] for position in self.touched)

    @property
    def shadow_ids(self) -> frozenset[str]:
        """The policies that act on nothing as the new side has them; as the old one, if gone."""
        acts = np.where(self.new.at < 0, self.old.acts, self.new.acts)
        return frozenset(self.policy_ids[position] for position in np.flatnonzero(acts == 0.0))

    @classmethod
    def of(cls, old: Side, new: Side, rescored: CompiledPolicies | None) -> "Plan":
        """Line both up; `rescored` has to hold exactly the policies of `to_rescore`."""
        ids = tuple(sorted(old.judging.keys() | new.judging.keys()))
        rescored_at = _places(ids, {} if rescored is None else rescored.positions)
        before, after = LinedUp.of(old, ids), LinedUp.of(new, ids)
        cut_moved = (before.review != after.review) | (before.block != after.block)
        return cls(
            policy_ids=ids,
            old=before,
            new=after,
            rescored=rescored,
            rescored_at=rescored_at,
            rescoring=Rescoring.of(old.compiled, *([rescored] if rescored else [])),
            # A policy that judges on one side only has infinite cuts on the other.
            touched=np.flatnonzero((rescored_at >= 0) | cut_moved | (before.acts != after.acts)),
        )

    def scores(self, corpus: Corpus) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """By the old side for all policies, by the new one for those touched.

        float32[policies, contents], NaN where a policy does not judge.
        """
        by_old, *anew = self.rescoring.scores(corpus)
        before = self.old.scores(by_old)
        after = before.take(self.touched, axis=0)
        after[self.new.at[self.touched] < 0] = np.nan
        for scores in anew:  # one, if any policy is scored anew
            place = self.rescored_at[self.touched]
            after[place >= 0] = scores.take(place[place >= 0], axis=0)
        return before, after


def to_rescore(old: Side, new: Side) -> tuple[Policy, ...]:
    """The policies of the new side whose scores have to be computed anew."""
    before = old.judging
    return tuple(
        new.policy(policy_id)
        for policy_id in sorted(new.judging)
        if policy_id not in before or not _scores_alike(old, new, policy_id)
    )


def _scores_alike(old: Side, new: Side, policy_id: str) -> bool:
    before, after = old.policy(policy_id), new.policy(policy_id)
    return (
        before.scoring_digest == after.scoring_digest
        and old.compiled.scale == new.compiled.scale
        and _fit(old, before) == _fit(new, after)
    )


def _fit(side: Side, policy: Policy) -> Fit | None:
    return fit_of(policy, side.compiled.policy_set)


def _places(policy_ids: Sequence[str], places: Mapping[str, int]) -> NDArray[np.intp]:
    return np.array([places.get(policy_id, -1) for policy_id in policy_ids], dtype=np.intp)
