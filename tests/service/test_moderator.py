"""The main job: one content, one decision, whatever else happens meanwhile."""

import asyncio
from math import nan

import pytest

from moderation.core.decision import Options
from moderation.core.errors import (
    FailureCode,
    InvalidRequest,
    ModerationError,
    NotReady,
    UnknownName,
)
from moderation.core.policy import Action, Mode, Profile, Thresholds
from tests.builders import NOON, a_content, a_policy, a_policy_set
from tests.fakes import FakeEncoder
from tests.service.engine import running_engine

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
    images = FakeEncoder(spoiled={"nan": nan}, fails_on=["crash"])

    async with running_engine(a_policy_set(profiles=[KIDS, LENIENT]), images=images) as engine:
        decision = await engine.moderator.moderate(a_content(image), Options(profile))

    assert decision.action is posture
    assert decision.failure is not None
    assert decision.failure.code is code
    assert decision.verdicts == ()
    assert decision.frames_judged == 0
    assert engine.telemetry.decisions == [decision]


async def test_one_bad_picture_does_not_spoil_those_judged_beside_it() -> None:
    images = FakeEncoder(spoiled={"nan": nan}, fails_on=["crash"])
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


async def test_the_same_bytes_are_judged_anew_by_the_policies_of_the_moment() -> None:
    async with running_engine() as engine:
        first = await engine.moderator.moderate(a_content(b"a gun"), Options())
        engine.source.holds = a_policy_set(a_policy(phrases=["a beach"]))
        await engine.policies.reload()
        again = await engine.moderator.moderate(a_content(b"a gun", "upload-2"), Options())

    assert (first.action, again.action) == (Action.BLOCK, Action.ALLOW)
    assert (first.timings.cached, again.timings.cached) == (False, True)
    assert again.content_id == "upload-2"
    assert engine.images.batches == [["a gun"]]
