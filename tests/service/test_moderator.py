"""The main job: one content, one decision, whatever else happens meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from moderation.core.decision import Options
from moderation.core.errors import (
    DeadlineExceeded,
    FailureCode,
    InvalidRequest,
    ModerationError,
    NotReady,
    Overloaded,
    UnknownName,
)
from moderation.core.policy import Action, Mode, Profile, Thresholds
from moderation.service.moderator import Limits
from moderation.service.ports import ShedReason
from tests.builders import NOON, a_content, a_policy, a_policy_set
from tests.fakes import FakeEncoder
from tests.service.engine import Engine, running_engine

KIDS = Profile("kids", on_unjudgeable=Action.BLOCK)
LENIENT = Profile("lenient", on_unjudgeable=Action.ALLOW)


async def test_a_violation_is_blocked_and_the_decision_can_be_checked() -> None:
    policy_set = a_policy_set(a_policy(), a_policy("swimwear", phrases=["a beach"]))

    async with running_engine(policy_set) as engine:
        decision = await engine.moderator.moderate(a_content(b"a kitten|a gun"), Options())

    assert decision.action is Action.BLOCK
    assert decision.deciding_policy_id == "weapons"
    assert [verdict.policy.id for verdict in decision.verdicts] == ["weapons"]
    assert (decision.decision_id, decision.content_id) == ("decision-1", "upload-1")
    assert decision.decided_at == NOON
    assert decision.profile == "default"
    assert decision.policy_set_version == policy_set.version
    assert decision.encoder_id == engine.info.encoder_id
    assert decision.frames_judged == 2
    assert decision.failure is None
    assert decision.timings.total_s >= decision.timings.encode_s >= 0
    assert engine.telemetry.decisions == [decision]


async def test_harmless_content_is_allowed_with_what_came_nearest() -> None:
    async with running_engine() as engine:
        decision = await engine.moderator.moderate(a_content(b"a kitten"), Options())

    assert decision.action is Action.ALLOW
    assert decision.deciding_policy_id == ""
    assert [verdict.policy.id for verdict in decision.verdicts] == ["weapons"]


async def test_options_choose_profile_policies_and_how_much_is_told() -> None:
    strict = Profile("strict", thresholds={"knives": Thresholds(0.0, None)})
    policy_set = a_policy_set(a_policy(), a_policy("knives"), a_policy("gore"), profiles=[strict])
    options = Options("strict", frozenset({"knives", "gore"}), include_all_verdicts=True)

    async with running_engine(policy_set) as engine:
        decision = await engine.moderator.moderate(a_content(b"a kitten"), options)

    assert decision.profile == "strict"
    assert decision.action is Action.REVIEW
    assert [verdict.policy.id for verdict in decision.verdicts] == ["knives", "gore"]


@pytest.mark.parametrize(
    ("profile", "posture"), [("", Action.REVIEW), ("kids", Action.BLOCK), ("lenient", Action.ALLOW)]
)
@pytest.mark.parametrize(
    ("image", "code"),
    [
        (b"broken", FailureCode.NOT_AN_IMAGE),
        (b"nan", FailureCode.ENCODER_FAILED),
        (b"crash", FailureCode.ENCODER_FAILED),
        (b"a kitten|nan", FailureCode.ENCODER_FAILED),
    ],
)
async def test_what_cannot_be_judged_is_answered_with_the_profile_s_posture(
    image: bytes, code: FailureCode, profile: str, posture: Action
) -> None:
    images = FakeEncoder(nan_on=["nan"], fails_on=["crash"])

    async with running_engine(a_policy_set(profiles=[KIDS, LENIENT]), images=images) as engine:
        decision = await engine.moderator.moderate(a_content(image), Options(profile))

    assert decision.action is posture
    assert decision.failure is not None
    assert decision.failure.code is code
    assert decision.verdicts == ()
    assert decision.frames_judged == 0
    assert engine.telemetry.decisions == [decision]


async def test_one_bad_picture_does_not_spoil_those_judged_beside_it() -> None:
    images = FakeEncoder(nan_on=["nan"], fails_on=["crash"])
    pictures = [b"a gun", b"nan", b"a kitten", b"broken", b"crash", b"a gun"]

    async with running_engine(images=images) as engine:
        decisions = await asyncio.gather(
            *(
                engine.moderator.moderate(a_content(picture, f"upload-{n}"), Options())
                for n, picture in enumerate(pictures)
            )
        )

    assert [decision.content_id for decision in decisions] == [f"upload-{n}" for n in range(6)]
    assert [decision.action for decision in decisions] == [
        Action.BLOCK,
        Action.REVIEW,
        Action.ALLOW,
        Action.REVIEW,
        Action.REVIEW,
        Action.BLOCK,
    ]
    assert [decision.failure is not None for decision in decisions] == [
        picture in (b"nan", b"broken", b"crash") for picture in pictures
    ]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (Options("kidz"), UnknownName),
        (Options(policy_ids=frozenset({"gore"})), UnknownName),
        (Options(policy_ids=frozenset({"off"})), InvalidRequest),
    ],
)
async def test_a_wrong_request_costs_no_decoding(
    options: Options, error: type[ModerationError]
) -> None:
    policy_set = a_policy_set(a_policy(), a_policy("off", mode=Mode.OFF))

    async with running_engine(policy_set) as engine:
        with pytest.raises(error):
            await engine.moderator.moderate(a_content(), options)
        with pytest.raises(error):
            engine.moderator.require(options)
        engine.moderator.require(Options())

    assert engine.decoder.decoded == []
    assert engine.telemetry.decisions == []


async def test_without_valid_policies_nothing_is_judged() -> None:
    async with running_engine(reloaded=False) as engine:
        with pytest.raises(NotReady):
            await engine.moderator.moderate(a_content(), Options())

        await engine.policies.reload()
        decision = await engine.moderator.moderate(a_content(), Options())

    assert decision.action is Action.ALLOW


async def test_a_request_is_judged_by_one_policy_set_even_if_a_reload_happens_meanwhile() -> None:
    before, after = a_policy_set(), a_policy_set(a_policy("kittens", phrases=["a kitten"]))

    async with running_engine(before) as engine:
        engine.images.gate.close()
        request = asyncio.create_task(engine.moderator.moderate(a_content(b"a kitten"), Options()))
        await engine.images.gate.reached()
        engine.source.holds = after
        await engine.policies.reload()
        engine.images.gate.open()

        during = await request
        afterwards = await engine.moderator.moderate(a_content(b"a kitten"), Options())

    assert (during.policy_set_version, during.action) == (before.version, Action.ALLOW)
    assert [verdict.policy.id for verdict in during.verdicts] == ["weapons"]
    assert (afterwards.policy_set_version, afterwards.action) == (after.version, Action.BLOCK)


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
    async with running_engine(limits=limits(max_in_flight=1, max_in_flight_bytes=8)) as engine:
        await end(engine)

        decision = await engine.moderator.moderate(a_content(b"a kitten"), Options())

    assert decision.action is Action.ALLOW
    assert engine.telemetry.sheds == []
