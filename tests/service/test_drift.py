"""What is counted of which scores, for how long, and when it is compared."""

import logging
from collections.abc import AsyncIterator, Mapping

import numpy as np
import pytest

from moderation.core.decision import PolicyScores
from moderation.core.drift import Reference
from moderation.core.policy import Policy, policy_hash
from moderation.core.scoring import CompiledPolicies
from moderation.service.drift import SLOTS, DriftRules, DriftWatch, PolicyDrift, References
from tests.builders import SCALE, a_policy, a_policy_set, an_encoder_info, compiled
from tests.core.test_drift import a_reference

HOUR_S = 3600.0
RULES = DriftRules(window_s=SLOTS * HOUR_S, min_scores=4)
WEAPONS, GORE = a_policy("weapons"), a_policy("gore", phrases=["blood"])


class Clock:
    def __init__(self) -> None:
        self.now = 1000 * HOUR_S

    def __call__(self) -> float:
        return self.now


class FakeReferences:
    """Gives what it was told to; every encoder has the same."""

    def __init__(self, *references: Reference, problems: tuple[str, ...] = ()) -> None:
        self.read = References({one.policy_id: one for one in references}, problems)

    def load(self, encoder_id: str) -> References:
        return self.read


class Looks:
    """A feed of so many changes; another one starts before each but the first."""

    def __init__(self, *reads: References, source: FakeReferences) -> None:
        self._reads = reads
        self._source = source

    async def changes(self) -> AsyncIterator[None]:
        yield
        for read in self._reads:
            self._source.read = read
            yield


def halves(policy: Policy) -> Reference:
    """Half of the scores below 0, half above."""
    return a_reference(
        policy_id=policy.id, policy_hash=policy_hash(policy), edges=(0.0,), counts=(50, 50)
    )


class Site:
    """A watch over active policies, and who scores for it."""

    def __init__(
        self, *references: Reference, policies: tuple[Policy, ...] = (WEAPONS, GORE)
    ) -> None:
        self.clock = Clock()
        self.active: CompiledPolicies | None = compiled(a_policy_set(*policies))
        self.source = FakeReferences(*references)
        self.watch = DriftWatch(
            self.source,
            encoder=an_encoder_info(scale=SCALE),
            rules=RULES,
            active=lambda: self.active,
            clock=self.clock,
        )
        self.watch.compare_with(self.source.read)

    def score(self, times: int = 1, **raw: float) -> None:
        """Raw scores by policy id; the other policies did not judge."""
        assert self.active is not None
        ids = [policy.id for policy in self.active.policies]
        scores = PolicyScores(
            self.active.policies,
            np.zeros(len(ids)),
            np.array([raw.get(one, 5.0) for one in ids]),
            np.array([one in raw for one in ids]),
        )
        for _ in range(times):
            self.watch.scored(scores)

    def drifts(self) -> Mapping[str, PolicyDrift]:
        return {one.policy_id: one for one in self.watch.drifts()}


def test_scores_that_are_distributed_as_before_have_no_index() -> None:
    site = Site(halves(WEAPONS))

    site.score(times=2, weapons=-1.0, gore=1.0)
    site.score(times=2, weapons=1.0, gore=1.0)

    drift = site.drifts()["weapons"]
    assert (drift.is_outdated, drift.scores) == (False, 4)
    assert drift.psi == pytest.approx(0.0)


def test_scores_that_moved_have_a_high_one_each_policy_by_itself() -> None:
    site = Site(halves(WEAPONS), halves(GORE))

    site.score(times=4, weapons=1.0)
    site.score(times=2, gore=1.0)
    site.score(times=2, gore=-1.0)

    weapons, gore = site.drifts()["weapons"].psi, site.drifts()["gore"].psi
    assert weapons is not None
    assert weapons > 4
    assert gore == pytest.approx(0.0)


def test_too_few_scores_are_counted_and_not_compared() -> None:
    site = Site(halves(WEAPONS))

    site.score(times=3, weapons=1.0)

    assert site.drifts()["weapons"] == PolicyDrift("weapons", False, 3, None)


def test_policies_that_did_not_judge_count_nothing() -> None:
    site = Site(halves(WEAPONS), halves(GORE))

    site.score(times=4, gore=0.0)

    assert site.drifts()["weapons"].scores == 0


def test_a_policy_that_was_reworded_is_not_compared() -> None:
    site = Site(halves(WEAPONS))
    site.score(times=5, weapons=1.0)
    site.active = compiled(a_policy_set(a_policy("weapons", phrases=["a rifle"]), GORE))
    site.score(times=5, weapons=1.0)

    outdated = site.drifts()["weapons"]
    site.active = compiled(a_policy_set(WEAPONS, GORE))
    again = site.drifts()["weapons"]

    assert outdated == PolicyDrift("weapons", is_outdated=True)
    assert (again.is_outdated, again.scores) == (False, 5)


def test_policies_that_are_gone_are_not_told_of() -> None:
    site = Site(halves(WEAPONS))
    site.active = compiled(a_policy_set(GORE))

    gone = site.drifts()
    site.active = None

    assert gone == site.drifts() == {}


def test_the_window_slides_slot_by_slot() -> None:
    site = Site(halves(WEAPONS))
    counts = []
    for _ in range(SLOTS + 2):
        site.score(weapons=1.0)
        counts.append(site.drifts()["weapons"].scores)
        site.clock.now += HOUR_S

    assert counts == [*range(1, SLOTS + 1), SLOTS, SLOTS]


@pytest.mark.parametrize("pause", [SLOTS, SLOTS + 1, 1000])
def test_after_a_long_pause_nothing_is_left(pause: int) -> None:
    site = Site(halves(WEAPONS))
    site.score(times=9, weapons=1.0)

    site.clock.now += pause * HOUR_S

    assert site.drifts()["weapons"].scores == 0


def test_a_reference_that_stays_keeps_its_counts_and_a_new_one_starts_with_none() -> None:
    site = Site(halves(WEAPONS), halves(GORE))
    site.score(times=4, weapons=1.0, gore=1.0)
    other = a_reference(
        policy_id="gore", policy_hash=policy_hash(GORE), edges=(2.0,), counts=(1, 1)
    )

    site.watch.compare_with(FakeReferences(other, halves(WEAPONS)).read)
    site.score(times=2, weapons=1.0, gore=1.0)

    assert {one: drift.scores for one, drift in site.drifts().items()} == {"weapons": 6, "gore": 2}


async def test_references_are_read_after_every_change_and_problems_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site()
    broken = References(problems=("weapons.json: is torn",))
    mended = References({"weapons": halves(WEAPONS)})

    with caplog.at_level(logging.WARNING):
        await site.watch.follow(Looks(broken, broken, mended, source=site.source))

    assert [one.getMessage() for one in caplog.records] == [
        "a reference for drift cannot be used: weapons.json: is torn"
    ]
    assert list(site.drifts()) == ["weapons"]
