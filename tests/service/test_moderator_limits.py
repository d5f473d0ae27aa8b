"""Deadlines and admission: a request ends in time, and its place is free again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from moderation.core.decision import Options
from moderation.core.errors import (
    DeadlineExceeded,
    Overloaded,
)
from moderation.core.policy import Action
from moderation.service.admission import Limits
from moderation.service.lanes import Priority
from moderation.service.outcomes import ShedReason
from tests.builders import a_content
from tests.service.engine import Engine, running_engine


@pytest.mark.case(50)
@pytest.mark.parametrize("within_s", [0.0, -1.0, float("-inf")])
async def test_a_deadline_that_has_passed_costs_nothing(within_s: float) -> None:
    async with running_engine() as engine:
        with pytest.raises(DeadlineExceeded, match="had passed"):
            await engine.moderator.moderate(a_content(), Options(), within_s=within_s)

    assert engine.decoder.decoded == []


@pytest.mark.parametrize(
    ("within_s", "max_request_s", "allowed"),
    [(0.02, 10.0, "0.020"), (None, 0.02, "0.020"), (10.0, 0.02, "0.020")],
)
async def test_a_request_ends_at_its_deadline_or_at_the_server_s(
    within_s: float | None, max_request_s: float, allowed: str
) -> None:
    limits = Limits(max_in_flight=1, max_in_flight_bytes=2**20, max_request_s=max_request_s)

    async with running_engine(limits=limits) as engine:
        engine.decoder.gate.close()
        with pytest.raises(DeadlineExceeded, match=f"within {allowed} s"):
            await engine.moderator.moderate(a_content(), Options(), within_s=within_s)
        engine.decoder.gate.open()

    assert engine.telemetry.decisions == []


@pytest.mark.case(49)
async def test_a_request_whose_deadline_passes_in_the_queue_never_reaches_the_encoder() -> None:
    async with running_engine() as engine:
        engine.images.gate.close()
        first = asyncio.create_task(engine.moderator.moderate(a_content(b"a gun"), Options()))
        await engine.images.gate.reached()
        with pytest.raises(DeadlineExceeded):
            await engine.moderator.moderate(a_content(b"a kitten"), Options(), within_s=0.05)
        engine.images.gate.open()
        await first

    assert engine.images.batches == [["a gun"]]


async def test_interactive_requests_learn_how_long_others_waited_and_bulk_is_not_held_back() -> (
    None
):
    tight = limits(max_in_flight=8, min_in_flight=1, target_wait_s=1e-9)
    async with running_engine(limits=tight) as engine:
        for number in range(6):  # each waited for a thread, if only for microseconds
            await engine.moderator.moderate(a_content(b"%d" % number), Options())
        engine.images.gate.close()
        under_way = asyncio.create_task(engine.moderator.moderate(a_content(b"a gun"), Options()))
        await engine.images.gate.reached()

        with pytest.raises(Overloaded, match="more would wait"):
            await engine.moderator.moderate(a_content(b"a kitten"), Options())
        bulk = asyncio.create_task(
            engine.moderator.moderate(a_content(b"a beach"), Options(), priority=Priority.BULK)
        )
        engine.images.gate.open()
        await asyncio.gather(under_way, bulk)

    assert engine.telemetry.limits == [4, 2, 1]
    assert engine.telemetry.sheds == [ShedReason.LATENCY]


@pytest.mark.parametrize("leave_after_s", [None, 0.08], ids=["at its end", "by the caller's clock"])
async def test_requests_that_were_too_late_waited_for_too_long_whatever_the_target(
    leave_after_s: float | None,
) -> None:
    tight = limits(max_in_flight=8, min_in_flight=1, target_wait_s=0.5)
    async with running_engine(limits=tight) as engine:
        engine.images.gate.close()

        async def ask(number: int) -> None:
            async with asyncio.timeout(leave_after_s):
                await engine.moderator.moderate(a_content(b"%d" % number), Options(), within_s=0.1)

        outcomes = await asyncio.gather(*map(ask, range(4)), return_exceptions=True)
        engine.images.gate.open()

    late = DeadlineExceeded if leave_after_s is None else TimeoutError
    assert [type(outcome) for outcome in outcomes] == [late] * 4
    assert engine.telemetry.limits == [4, 2]


def limits(**changes: Any) -> Limits:  # noqa: ANN401 - the fields of Limits
    return Limits(
        **{"max_in_flight": 64, "max_in_flight_bytes": 2**20, "max_request_s": 10.0} | changes
    )


@pytest.mark.parametrize(
    ("tight", "reason", "message"),
    [
        (limits(max_in_flight=2), ShedReason.IN_FLIGHT, "2 requests are under way"),
        (limits(max_in_flight_bytes=20), ShedReason.IN_FLIGHT_BYTES, "16 bytes are under way"),
    ],
)
async def test_beyond_what_may_be_under_way_requests_are_turned_away(
    tight: Limits, reason: ShedReason, message: str
) -> None:
    async with running_engine(limits=tight) as engine:
        engine.images.gate.close()
        under_way = [
            asyncio.create_task(engine.moderator.moderate(a_content(b"a kitten"), Options()))
            for _ in range(2)
        ]
        await engine.images.gate.reached()

        with pytest.raises(Overloaded, match=message) as caught:
            await engine.moderator.moderate(a_content(b"a kitten"), Options())
        engine.images.gate.open()
        await asyncio.gather(*under_way)
        await engine.moderator.moderate(a_content(b"a kitten"), Options())

    assert caught.value.retry_after_s > 0
    assert engine.telemetry.sheds == [reason]
    assert len(engine.telemetry.decisions) == 3


async def test_a_picture_alone_is_let_in_whatever_its_size() -> None:
    async with running_engine(limits=limits(max_in_flight_bytes=1)) as engine:
        decision = await engine.moderator.moderate(a_content(b"a kitten"), Options())

    assert decision.failure is None


async def _answered(engine: Engine) -> None:
    await engine.moderator.moderate(a_content(), Options())


async def _unjudgeable(engine: Engine) -> None:
    await engine.moderator.moderate(a_content(b"broken"), Options())


async def _too_late(engine: Engine) -> None:
    engine.images.gate.close()
    with pytest.raises(DeadlineExceeded):
        await engine.moderator.moderate(a_content(), Options(), within_s=0.02)
    engine.images.gate.open()


async def _abandoned(engine: Engine) -> None:
    engine.images.gate.close()
    request = asyncio.create_task(engine.moderator.moderate(a_content(), Options()))
    await engine.images.gate.reached()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    engine.images.gate.open()


async def _hit_by_a_bug(engine: Engine) -> None:
    with pytest.raises(ValueError, match="reshape"):  # the fake decoder's, for want of room
        await engine.moderator.moderate(a_content(b"x" * 1000), Options())


@pytest.mark.parametrize("end", [_answered, _unjudgeable, _too_late, _abandoned, _hit_by_a_bug])
async def test_however_a_request_ends_its_place_is_free_again(
    end: Callable[[Engine], Awaitable[None]],
) -> None:
    roomy_for_two = limits(max_in_flight=2, max_in_flight_bytes=20)
    async with running_engine(limits=roomy_for_two) as engine:
        await end(engine)

        again = [engine.moderator.moderate(a_content(b"a kitten"), Options()) for _ in range(2)]
        decisions = await asyncio.gather(*again)

    assert [decision.action for decision in decisions] == [Action.ALLOW, Action.ALLOW]
    assert engine.telemetry.sheds == []


async def test_what_is_under_way_is_counted() -> None:
    async with running_engine() as engine:
        engine.images.gate.close()
        under_way = asyncio.create_task(engine.moderator.moderate(a_content(), Options()))
        await engine.images.gate.reached()
        during = engine.moderator.in_flight, engine.moderator.in_flight_bytes
        engine.images.gate.open()
        decision = await under_way

    assert during == (1, len(a_content().image))
    assert (engine.moderator.in_flight, engine.moderator.in_flight_bytes) == (0, 0)
    assert decision.scores is not None
