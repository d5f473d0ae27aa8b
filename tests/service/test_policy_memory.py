"""What outlives a source that is broken or gone, a restart, and somebody's second thoughts."""

from dataclasses import replace
from datetime import date

import pytest

from moderation.core.errors import NotReady, PolicySetRejected, Problem
from moderation.core.policy import BoundEncoder, Profile
from moderation.core.solving import OnStale
from moderation.service.activation import Pin, SetOrigin, activation_of, source_version
from moderation.service.calibrating import CalibratedPolicies
from moderation.service.keeping import NO_KEEPER
from tests.builders import NOON, a_calibration, a_policy, a_policy_set
from tests.fakes import FakeCalibrations, FakeKeeper, FakePolicySource
from tests.service.engine import Engine, running_engine

GUNS = a_policy_set(a_policy("guns", phrases=["a gun"], owner="Trust and safety"))
KNIVES = a_policy_set(a_policy("knives", phrases=["a knife"]))
TYPO = Problem("guns.yaml", 14, 7, "unknown key")
BROKEN = PolicySetRejected((TYPO,))


async def a_keeper_of(*policy_sets: object) -> FakeKeeper:
    """What a service that ran with these sets has left behind."""
    async with running_engine(GUNS, reloaded=False) as engine:
        for policy_set in policy_sets:
            engine.source.holds = policy_set  # type: ignore[assignment]  # sets, as the callers know
            await engine.policies.reload()
        return engine.keeper


def active(engine: Engine) -> str:
    return engine.policies.current.policy_set.version


async def test_a_restart_with_a_broken_source_serves_the_last_set_and_says_so() -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)

    async with running_engine(BROKEN, keeper=keeper) as engine:
        assert active(engine) == GUNS.version
        assert engine.policies.status.origin is SetOrigin.KEPT
        assert engine.policies.status.problems == (TYPO,)
        assert engine.policies.is_stale()
        assert engine.telemetry.origins == [SetOrigin.KEPT]
        assert engine.telemetry.rejected == [(TYPO,)]


async def test_a_mended_source_takes_over_from_what_was_kept() -> None:
    async with running_engine(BROKEN, keeper=await a_keeper_of(GUNS)) as engine:
        engine.source.holds = KNIVES

        assert await engine.policies.reload()

        assert active(engine) == KNIVES.version
        assert engine.policies.status.origin is SetOrigin.SOURCE
        assert not engine.policies.is_stale()


async def test_a_source_that_means_what_was_kept_confirms_it_without_a_new_load() -> None:
    async with running_engine(BROKEN, keeper=await a_keeper_of(GUNS)) as engine:
        engine.source.holds = GUNS

        assert await engine.policies.reload()

        assert engine.policies.status.origin is SetOrigin.SOURCE
        assert len(engine.telemetry.loaded) == 1
        assert len(engine.policies.history) == 1


async def test_without_a_memory_a_broken_source_leaves_nothing_to_serve() -> None:
    async with running_engine(BROKEN) as engine:
        with pytest.raises(NotReady):
            _ = engine.policies.current
        assert not engine.policies.is_stale()
        assert not engine.policies.is_ready()


async def test_a_kept_set_that_cannot_be_read_is_told_beside_the_source_s_problems() -> None:
    keeper = await a_keeper_of(GUNS)
    keeper.sets.clear()

    async with running_engine(BROKEN, keeper=keeper) as engine:
        assert [one.message for one in engine.policies.status.problems] == [
            "unknown key",
            "was not kept",
        ]


async def test_the_history_tells_what_changed_and_who_owns_it() -> None:
    async with running_engine(KNIVES) as engine:
        engine.source.holds = GUNS
        await engine.policies.reload()
        await engine.policies.reload()

        newest, oldest = engine.policies.history

        assert (newest.version, newest.origin) == (GUNS.version, SetOrigin.SOURCE)
        assert newest.owners == ("Trust and safety",)
        assert newest.summary == "added guns; removed knives"
        assert oldest.summary == "first activation, 1 policies"
        assert engine.keeper.history() == engine.policies.history


async def test_a_restart_goes_on_with_the_history() -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)

    async with running_engine(GUNS, keeper=keeper) as engine:
        assert len(engine.policies.history) == 2
        engine.source.holds = KNIVES
        await engine.policies.reload()

    assert [one.version for one in keeper.history()] == [
        KNIVES.version,
        GUNS.version,
        KNIVES.version,
    ]


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (
            a_policy_set(replace(GUNS.policies[0], title="Arms")),
            "changed guns (~ title: Guns -> Arms)",
        ),
        (
            a_policy_set(a_policy("guns", phrases=["a gun", "a " + 40 * "long " + "rifle"])),
            "changed guns (- owner: Trust and safety, "
            '+ phrases["a long long long long long long long long long l…)',
        ),
        (
            a_policy_set(a_policy("guns", review=0.4, block=0.7, title="Arms")),
            "changed guns (~ title: Guns -> Arms, ~ thresholds.review: 0.5 -> 0.4 and 2 more)",
        ),
        (
            a_policy_set(*(a_policy(f"p{number}") for number in range(7))),
            "added p0, p1, p2, p3, p4 and 2 more; removed guns",
        ),
        (a_policy_set(*GUNS.policies, profiles=[Profile("kids")]), "added profile kids"),
        (
            replace(GUNS, encoder=BoundEncoder("a" * 64, "small", "encoder.lock")),
            "added binding encoder.lock",
        ),
    ],
)
async def test_a_change_is_told_on_one_line(after: object, told: str) -> None:
    keeper = await a_keeper_of(GUNS, after)

    assert keeper.history()[0].summary == told


async def test_the_first_activation_after_a_restart_is_compared_with_what_was_kept() -> None:
    keeper = await a_keeper_of(GUNS)
    async with running_engine(KNIVES, keeper=keeper) as engine:
        assert engine.policies.history[0].summary == "added knives; removed guns"

    keeper.sets.clear()
    async with running_engine(GUNS, keeper=keeper) as engine:
        assert engine.policies.history[0].summary == "first activation, 1 policies"


async def test_a_full_disk_is_told_and_keeps_no_policy_from_being_active() -> None:
    keeper = FakeKeeper()
    keeper.full = True

    async with running_engine(GUNS, keeper=keeper) as engine:
        assert active(engine) == GUNS.version
        assert engine.telemetry.not_kept == ["No space left on device"]


async def test_a_pin_puts_an_older_set_back_while_the_source_means_the_same() -> None:
    async with running_engine(KNIVES) as engine:
        engine.source.holds = GUNS
        await engine.policies.reload()
        engine.keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))

        assert await engine.policies.reload()
        assert await engine.policies.reload()

        assert active(engine) == KNIVES.version
        status = engine.policies.status
        assert (status.origin, status.pin) == (SetOrigin.ROLLBACK, engine.keeper.pin())
        assert not engine.policies.is_stale()
        assert engine.policies.history[0].origin is SetOrigin.ROLLBACK
        assert len(engine.policies.history) == 3


async def test_a_pin_ends_with_the_next_change_of_the_source() -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)
    keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))
    mended = a_policy_set(a_policy("guns", phrases=["a gun"], review=0.4))
    async with running_engine(GUNS, keeper=keeper) as engine:
        assert active(engine) == KNIVES.version
        engine.source.holds = mended

        assert await engine.policies.reload()

        assert active(engine) == mended.version
        assert keeper.pin() is None
        assert engine.policies.status.pin is None


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_pin_that_an_edit_has_overruled_does_not_come_back(restarted: bool) -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)
    mended = a_policy_set(a_policy("guns", phrases=["a gun"], review=0.4))
    async with running_engine(mended, keeper=keeper) as engine:
        # As if the disk had refused to forget it.
        keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))
        engine.source.holds = BROKEN
        await engine.policies.reload()
        assert active(engine) == mended.version

    if restarted:
        async with running_engine(BROKEN, keeper=keeper) as engine:
            assert active(engine) == mended.version


async def test_a_source_that_comes_to_mean_what_was_put_back_is_an_activation() -> None:
    """Or nobody could tell from the history what the next pin is in place of."""
    keeper = await a_keeper_of(KNIVES, GUNS)
    keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))
    async with running_engine(GUNS, keeper=keeper) as engine:
        assert source_version(keeper.history()) == GUNS.version
        engine.source.holds = KNIVES

        assert await engine.policies.reload()
        assert await engine.policies.reload()

        newest, before, *_ = engine.policies.history
        assert (newest.version, newest.origin) == (KNIVES.version, SetOrigin.SOURCE)
        assert newest.summary == "nothing but where it comes from"
        assert (before.version, before.origin) == (KNIVES.version, SetOrigin.ROLLBACK)
        assert source_version(keeper.history()) == KNIVES.version
        assert engine.policies.status.origin is SetOrigin.SOURCE
        assert keeper.pin() is None


async def test_a_second_pin_counts_while_the_source_is_broken() -> None:
    spoons = a_policy_set(a_policy("spoons", phrases=["a spoon"]))
    keeper = await a_keeper_of(spoons, KNIVES, GUNS)
    keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))
    async with running_engine(GUNS, keeper=keeper) as engine:
        assert active(engine) == KNIVES.version
        engine.source.holds = BROKEN
        keeper.put_pin(Pin(spoons.version, instead_of=GUNS.version))
        await engine.policies.reload()
        assert active(engine) == spoons.version

    async with running_engine(BROKEN, keeper=keeper) as engine:
        assert active(engine) == spoons.version


async def test_what_the_source_means_can_be_put_back_too_and_needs_no_pin_for_long() -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)
    keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))
    async with running_engine(GUNS, keeper=keeper) as engine:
        engine.source.holds = BROKEN
        keeper.put_pin(Pin(GUNS.version, instead_of=GUNS.version))
        await engine.policies.reload()
        assert active(engine) == GUNS.version
        assert keeper.history()[0].origin is SetOrigin.ROLLBACK
        engine.source.holds = GUNS

        assert await engine.policies.reload()

        assert active(engine) == GUNS.version
        assert engine.policies.status.origin is SetOrigin.SOURCE
        assert keeper.pin() is None


@pytest.mark.parametrize("restarted", [True, False])
async def test_a_pin_holds_while_the_source_is_broken(restarted: bool) -> None:
    keeper = await a_keeper_of(KNIVES, GUNS)
    keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))

    async with running_engine(BROKEN if restarted else GUNS, keeper=keeper) as engine:
        engine.source.holds = BROKEN
        assert not await engine.policies.reload()

        assert active(engine) == KNIVES.version
        assert engine.policies.is_stale()


async def test_a_pin_on_what_was_not_kept_is_told_and_changes_nothing() -> None:
    async with running_engine(GUNS) as engine:
        engine.keeper.put_pin(Pin(KNIVES.version, instead_of=GUNS.version))

        assert not await engine.policies.reload()

        assert active(engine) == GUNS.version
        assert "was not kept" in engine.policies.status.problems[0].message


async def test_a_day_changes_the_policies_without_an_edit() -> None:
    first = a_policy("first", phrases=["a gun"], expires=NOON.date())
    then = a_policy("then", phrases=["a knife"], effective=date(2026, 3, 2))
    async with running_engine(a_policy_set(first, then)) as engine:
        assert set(engine.policies.current.positions) == {"first"}
        embedded = len(engine.texts.texts)
        engine.clock.advance(24 * 3600)

        assert await engine.policies.reload()

        assert set(engine.policies.current.positions) == {"then"}
        assert len(engine.texts.texts) == embedded
        assert len(engine.policies.history) == 1


async def test_a_day_changes_the_policies_of_a_broken_source_too() -> None:
    always = a_policy("always")
    then = a_policy("then", effective=date(2026, 3, 2))
    async with running_engine(a_policy_set(always, then)) as engine:
        engine.source.holds = BROKEN
        engine.clock.advance(24 * 3600)

        assert not await engine.policies.reload()

        assert set(engine.policies.current.positions) == {"always", "then"}


async def test_a_day_on_which_nothing_would_be_judged_leaves_the_policies_of_the_day_before() -> (
    None
):
    async with running_engine(a_policy_set(a_policy(expires=NOON.date()))) as engine:
        engine.clock.advance(24 * 3600)

        assert not await engine.policies.reload()

        assert set(engine.policies.current.positions) == {"weapons"}
        assert "nothing would be judged" in engine.policies.status.problems[0].message


async def test_policies_that_are_not_confirmed_for_too_long_make_the_service_unready() -> None:
    async with running_engine(GUNS, max_age_s=60) as engine:
        engine.source.holds = BROKEN
        engine.clock.advance(60)
        await engine.policies.reload()
        assert engine.policies.is_ready()
        engine.clock.advance(1)
        assert not engine.policies.is_ready()
        assert engine.policies.is_stale()

        engine.source.holds = GUNS
        await engine.policies.reload()

        assert engine.policies.is_ready()
        assert engine.policies.status.confirmed_at == engine.clock.now


async def test_what_was_kept_counts_as_confirmed_when_it_was_activated() -> None:
    keeper = await a_keeper_of(GUNS)

    async with running_engine(BROKEN, keeper=keeper, reloaded=False, max_age_s=60) as engine:
        engine.clock.advance(61)
        await engine.policies.reload()

        assert engine.policies.status.confirmed_at == NOON
        assert not engine.policies.is_ready()


async def test_review_budgets_are_those_of_the_active_profiles() -> None:
    profiles = [Profile("kids", review_budget=0.02), Profile("ads")]
    async with running_engine(a_policy_set(profiles=profiles), reloaded=False) as engine:
        assert engine.policies.review_budgets() == {}
        await engine.policies.reload()

        assert engine.policies.review_budgets() == {"kids": 0.02}


def test_policies_are_loaded_with_the_calibrations_of_their_encoder() -> None:
    calibrations = FakeCalibrations(a_calibration(GUNS.policies[0]))
    source = CalibratedPolicies(
        FakePolicySource(GUNS), calibrations, "fake-encoder", OnStale.REFUSE
    )

    assert source.load().calibrations.keys() == {"guns"}
    assert calibrations.asked_for == ["fake-encoder"]


async def test_a_service_without_a_keeper_forgets_and_is_none_the_worse() -> None:
    activation = activation_of(GUNS, None, origin=SetOrigin.SOURCE, now=NOON)

    NO_KEEPER.keep(GUNS, activation)

    assert NO_KEEPER.history() == ()
    with pytest.raises(PolicySetRejected, match="was not kept"):
        NO_KEEPER.kept(GUNS.version)
