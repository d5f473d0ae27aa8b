"""Reloads: swapped whole or not at all, remembered either way, and never embedded twice."""

import asyncio
from math import inf, nan

import pytest

from moderation.core.errors import NotReady, PolicySetRejected, Problem
from moderation.core.policy import Mode, Phrase, PolicySet
from tests.builders import NOON, a_policy, a_policy_set
from tests.fakes import FakeChangeFeed, FakeEncoder
from tests.service.engine import Engine, running_engine

GUNS = a_policy_set(a_policy("guns", phrases=["a gun"]))
KNIVES = a_policy_set(a_policy("knives", phrases=["a knife"]))
BOTH = a_policy_set(*GUNS.policies, *KNIVES.policies)
TYPO = Problem("guns.yaml", 14, 7, 'unknown key "phrasess"')


def active_ids(engine: Engine) -> set[str]:
    return set(engine.policies.current.positions)


async def test_before_the_first_load_there_are_no_policies() -> None:
    async with running_engine(reloaded=False) as engine:
        assert engine.policies.status.active is None
        assert engine.policies.age_s() == 0.0
        assert not engine.policies.activated.is_set()
        with pytest.raises(NotReady, match="GetStatus"):
            _ = engine.policies.current


async def test_a_load_makes_the_policies_active_and_is_told() -> None:
    async with running_engine(BOTH, reloaded=False) as engine:
        assert await engine.policies.reload()

        assert active_ids(engine) == {"guns", "knives"}
        assert engine.policies.activated.is_set()
        status = engine.policies.status
        assert (status.loaded_at, status.reloaded_at, status.problems) == (NOON, NOON, ())
        assert engine.telemetry.loaded == [(BOTH.version, 2, 2)]


async def test_an_edit_replaces_the_set_and_starts_its_age_anew() -> None:
    async with running_engine(GUNS) as engine:
        engine.clock.advance(60)
        assert engine.policies.age_s() == 60
        engine.source.holds = KNIVES

        assert await engine.policies.reload()

        assert active_ids(engine) == {"knives"}
        assert engine.policies.age_s() == 0
        engine.clock.advance(-3600)  # someone set the clock back
        assert engine.policies.age_s() == 0


async def test_a_reload_that_means_the_same_changes_nothing() -> None:
    async with running_engine(BOTH) as engine:
        active = engine.policies.current
        engine.clock.advance(60)
        engine.source.holds = a_policy_set(*reversed(BOTH.policies))

        assert await engine.policies.reload()

        assert engine.policies.current is active
        status = engine.policies.status
        assert (status.loaded_at, status.reloaded_at) == (NOON, engine.clock.now)
        assert engine.policies.age_s() == 60
        assert engine.telemetry.unchanged == [BOTH.version]
        assert len(engine.telemetry.loaded) == 1


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (PolicySetRejected((TYPO,)), str(TYPO)),
        (OSError("no such device"), "policies: cannot be loaded (OSError: no such device)"),
        (RecursionError("too deep"), "policies: cannot be loaded (RecursionError: too deep)"),
        (MemoryError(), "policies: cannot be loaded (MemoryError: )"),
    ],
)
async def test_whatever_goes_wrong_the_last_good_set_stays_and_the_problem_is_told(
    failure: Exception, told: str
) -> None:
    async with running_engine(GUNS) as engine:
        active = engine.policies.current
        engine.clock.advance(60)
        engine.source.holds = failure

        assert not await engine.policies.reload()

        assert engine.policies.current is active
        status = engine.policies.status
        assert (status.loaded_at, status.reloaded_at) == (NOON, engine.clock.now)
        assert [str(problem) for problem in status.problems] == [told]
        assert engine.telemetry.rejected == [status.problems]


async def test_a_failed_first_load_leaves_none_active_and_says_why() -> None:
    async with running_engine(PolicySetRejected((TYPO,))) as engine:
        assert engine.policies.status.problems == (TYPO,)
        assert not engine.policies.activated.is_set()
        with pytest.raises(NotReady):
            _ = engine.policies.current


@pytest.mark.parametrize("mended", [GUNS, KNIVES])
async def test_a_mended_source_clears_the_problems(mended: PolicySet) -> None:
    async with running_engine(GUNS) as engine:
        engine.source.holds = PolicySetRejected((TYPO,))
        await engine.policies.reload()
        engine.source.holds = mended

        assert await engine.policies.reload()

        assert engine.policies.status.problems == ()


@pytest.mark.parametrize(
    "texts",
    [
        FakeEncoder(fails_on=["a knife"]),
        FakeEncoder(spoiled={"a knife": nan}),
        FakeEncoder(spoiled={"a knife": inf}),
        FakeEncoder(spoiled={"a knife": 0.0}),
        FakeEncoder(spoiled={"a knife": 0.5}),
    ],
    ids=["crash", "nan", "inf", "zero", "too long"],
)
async def test_a_phrase_that_cannot_be_embedded_does_not_become_a_policy_that_never_fires(
    texts: FakeEncoder,
) -> None:
    async with running_engine(GUNS, texts=texts) as engine:
        engine.source.holds = KNIVES

        assert not await engine.policies.reload()

        assert active_ids(engine) == {"guns"}
        assert "cannot be loaded" in engine.policies.status.problems[0].message


async def test_only_new_texts_are_embedded() -> None:
    async with running_engine(GUNS) as engine:
        engine.source.holds = BOTH
        await engine.policies.reload()

        assert engine.texts.texts == ["a gun", "a knife"]
        assert [embedded for _, _, embedded in engine.telemetry.loaded] == [1, 1]


async def test_a_failed_edit_that_is_taken_back_costs_no_embedding() -> None:
    async with running_engine(GUNS, texts=FakeEncoder(fails_on=["a spear"])) as engine:
        engine.source.holds = a_policy_set(a_policy("spears", phrases=["a spear"]))
        await engine.policies.reload()
        engine.texts.texts.clear()
        engine.source.holds = a_policy_set(a_policy("renamed", phrases=["a gun"]))

        assert await engine.policies.reload()

        assert engine.texts.texts == []


async def test_what_was_embedded_before_a_failure_is_kept_for_the_next_try() -> None:
    many = [f"thing {number:03}" for number in range(100)]
    last = "the longest text comes last"
    wanted = a_policy_set(a_policy(phrases=[*many, last]))

    async with running_engine(GUNS, texts=FakeEncoder(fails_on=[last])) as engine:
        engine.source.holds = wanted
        assert not await engine.policies.reload()
        engine.texts.fails_on.clear()
        engine.texts.texts.clear()

        assert await engine.policies.reload()

        assert set(engine.texts.texts) == {*many[96:], last}


async def test_texts_that_no_set_uses_any_more_are_forgotten() -> None:
    async with running_engine(GUNS) as engine:
        for policy_set in (KNIVES, BOTH, KNIVES):
            engine.source.holds = policy_set
            await engine.policies.reload()
        engine.texts.texts.clear()
        engine.source.holds = a_policy_set(a_policy("spears", phrases=["a spear"]))
        await engine.policies.reload()
        engine.source.holds = GUNS

        await engine.policies.reload()

        assert engine.texts.texts == ["a spear", "a gun"]


async def test_a_change_of_weight_is_active_without_embedding_anything() -> None:
    async with running_engine(GUNS) as engine:
        engine.texts.texts.clear()
        engine.source.holds = a_policy_set(a_policy("guns", phrases=[Phrase("a gun", 0.5)]))

        await engine.policies.reload()

        assert engine.texts.texts == []
        assert engine.policies.current.phrases.phrases == (Phrase("a gun", 0.5),)


async def test_reloads_happen_one_after_another_and_the_last_one_wins() -> None:
    async with running_engine(GUNS) as engine:
        engine.texts.gate.close()
        engine.source.holds = KNIVES
        first = asyncio.create_task(engine.policies.reload())
        await engine.texts.gate.reached()
        engine.source.holds = a_policy_set(a_policy("swords", phrases=["a sword"]))
        second = asyncio.create_task(engine.policies.reload())
        await asyncio.sleep(0)
        assert active_ids(engine) == {"guns"}
        engine.texts.gate.open()

        assert all(await asyncio.gather(first, second))

        assert active_ids(engine) == {"swords"}
        assert [version for version, _, _ in engine.telemetry.loaded] == [
            GUNS.version,
            KNIVES.version,
            engine.policies.current.policy_set.version,
        ]


async def test_policies_in_shadow_and_off_are_counted_as_they_act() -> None:
    policy_set = a_policy_set(
        a_policy("a"), a_policy("b", mode=Mode.SHADOW), a_policy("c", mode=Mode.OFF)
    )

    async with running_engine(policy_set) as engine:
        assert engine.telemetry.loaded == [(policy_set.version, 2, 1)]


async def test_following_a_feed_reloads_after_each_change_until_it_closes() -> None:
    feed = FakeChangeFeed()
    async with running_engine(GUNS) as engine:
        engine.source.holds = KNIVES
        feed.tell()
        feed.tell()
        feed.close()

        await engine.policies.follow(feed)

        assert engine.source.loads == 3
        assert active_ids(engine) == {"knives"}


async def test_a_rejected_edit_does_not_end_the_following() -> None:
    feed = FakeChangeFeed()
    async with running_engine(GUNS) as engine:
        engine.source.holds = PolicySetRejected((TYPO,))
        following = asyncio.create_task(engine.policies.follow(feed))
        feed.tell()
        await feed.handled()
        assert engine.telemetry.rejected
        engine.source.holds = KNIVES
        feed.tell()
        feed.close()
        await following

        assert active_ids(engine) == {"knives"}
