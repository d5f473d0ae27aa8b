"""What a pipeline gets over the wire, for right and for wrong requests."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from moderation.core.errors import PolicySetRejected, Problem
from moderation.core.policy import Action, Mode, Profile, Thresholds
from moderation.service.admission import Limits
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.grpc.server import refused, served
from tests.builders import NOON, a_policy, a_policy_set

GUN = pb.Content(image=b"a gun", content_id="upload-1")
KITTEN = pb.Content(image=b"a kitten", content_id="upload-2")
TOO_MANY = ["weapons"] * 257
REJECTED = PolicySetRejected((Problem("policies/x.yaml", 3, 7, "phrases: must not be empty"),))


async def test_a_violation_arrives_as_a_block_with_its_reasons() -> None:
    policy_set = a_policy_set(a_policy(contrast=["a drill"]))

    async with served(policy_set) as service:
        response = await service.stub.Moderate(pb.ModerateRequest(content=GUN))

    decision = response.decision
    assert decision.action == pb.ACTION_BLOCK
    assert decision.deciding_policy_id == "weapons"
    assert (decision.content_id, decision.profile) == ("upload-1", "default")
    assert decision.policy_set_version == policy_set.version
    assert decision.decided_at.ToDatetime(NOON.tzinfo) == NOON
    assert decision.timings.total.ToNanoseconds() > 0
    (verdict,) = decision.verdicts
    assert (verdict.policy_id, verdict.mode) == ("weapons", pb.MODE_ENFORCE)
    assert (verdict.review_threshold, verdict.block_threshold) == (0.5, 0.8)
    assert verdict.margin == pytest.approx(verdict.score - 0.8)
    assert verdict.phrases[0].text == "a gun"
    assert verdict.phrases[0].similarity == pytest.approx(1.0)
    assert verdict.contrast_phrases[0].text == "a drill"
    assert not verdict.calibrated


async def test_a_policy_that_never_blocks_has_no_block_threshold() -> None:
    async with served(a_policy_set(a_policy(block=None))) as service:
        response = await service.stub.Moderate(pb.ModerateRequest(content=GUN))

    (verdict,) = response.decision.verdicts
    assert response.decision.action == pb.ACTION_REVIEW
    assert not verdict.HasField("block_threshold")


async def test_a_content_without_an_id_gets_one() -> None:
    async with served() as service:
        response = await service.stub.Moderate(
            pb.ModerateRequest(content=pb.Content(image=b"a kitten"))
        )

    assert response.decision.content_id == "made-up-0"


async def test_content_that_cannot_be_judged_is_answered_by_the_profiles_posture() -> None:
    kids = Profile("kids", on_unjudgeable=Action.BLOCK)
    request = pb.ModerateRequest(
        content=pb.Content(image=b"broken"), options=pb.ModerateOptions(profile="kids")
    )

    async with served(a_policy_set(profiles=[kids])) as service:
        response = await service.stub.Moderate(request)

    assert response.decision.action == pb.ACTION_BLOCK
    assert response.decision.failure.code == pb.FAILURE_CODE_NOT_AN_IMAGE
    assert not response.decision.verdicts


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.ModerateRequest(), "content.image"),
        (pb.ModerateRequest(content=pb.Content(content_id="x")), "content.image"),
        (
            pb.ModerateRequest(content=pb.Content(image=b"x", content_id="a\nb")),
            "content.content_id",
        ),
        (
            pb.ModerateRequest(content=pb.Content(image=b"x", content_id="../etc/passwd")),
            "content.content_id",
        ),
        (
            pb.ModerateRequest(content=GUN, options=pb.ModerateOptions(profile="nowhere")),
            "options.profile",
        ),
        (
            pb.ModerateRequest(content=GUN, options=pb.ModerateOptions(policy_ids=["nothing"])),
            "options.policy_ids",
        ),
        (
            pb.ModerateRequest(content=GUN, options=pb.ModerateOptions(policy_ids=TOO_MANY)),
            "options.policy_ids",
        ),
    ],
)
async def test_a_wrong_request_is_refused_with_the_field_named(
    request_: pb.ModerateRequest, field: str
) -> None:
    async with served() as service:
        error = await refused(service.stub.Moderate(request_))

        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (error.details() or "").startswith(f"{field}: ")
        assert service.engine.images.batches == []


async def test_a_batch_is_answered_in_order_and_bad_items_fail_alone() -> None:
    contents = [pb.Content(image=b"a kitten", content_id=f"upload-{n}") for n in range(64)]
    for position in (0, 13, 31, 62):
        contents[position].image = b"broken"
    contents[40].image = b""

    async with served() as service:
        response = await service.stub.ModerateBatch(pb.ModerateBatchRequest(contents=contents))

    assert [result.content_id for result in response.results] == [c.content_id for c in contents]
    failed = [n for n, one in enumerate(response.results) if one.decision.HasField("failure")]
    assert failed == [0, 13, 31, 62]
    error = response.results[40].error
    assert (error.code, error.field) == (3, "content.image")
    assert sum(one.decision.action == pb.ACTION_ALLOW for one in response.results) == 59


@pytest.mark.parametrize(
    ("count", "options", "field"),
    [
        (0, pb.ModerateOptions(), "contents"),
        (65, pb.ModerateOptions(), "contents"),
        (2, pb.ModerateOptions(profile="nowhere"), "options.profile"),
        (2, pb.ModerateOptions(policy_ids=TOO_MANY), "options.policy_ids"),
    ],
)
async def test_a_batch_that_is_wrong_as_a_whole_is_refused_as_a_whole(
    count: int, options: pb.ModerateOptions, field: str
) -> None:
    request = pb.ModerateBatchRequest(contents=[KITTEN] * count, options=options)

    async with served() as service:
        error = await refused(service.stub.ModerateBatch(request))

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (error.details() or "").startswith(f"{field}: ")


async def test_a_stream_answers_a_quick_item_before_a_slow_one() -> None:
    async with served() as service:
        service.engine.decoder.gate.close()
        call = service.stub.ModerateStream()
        await call.write(pb.ModerateStreamRequest(content=GUN))
        await service.engine.decoder.gate.reached()
        await call.write(pb.ModerateStreamRequest(content=pb.Content(content_id="empty")))
        first = await call.read()
        service.engine.decoder.gate.open()
        second = await call.read()
        await call.done_writing()

    assert isinstance(first, pb.ModerateStreamResponse)
    assert isinstance(second, pb.ModerateStreamResponse)
    assert (first.result.content_id, first.result.error.field) == ("empty", "content.image")
    assert second.result.decision.deciding_policy_id == "weapons"


async def test_bad_items_never_end_a_stream() -> None:
    messages: list[pb.ModerateStreamRequest | bytes] = [
        pb.ModerateStreamRequest(content=pb.Content(image=b"broken", content_id="1")),
        pb.ModerateStreamRequest(
            content=KITTEN, options=pb.ModerateOptions(policy_ids=["nothing"])
        ),
        pb.ModerateStreamRequest(
            content=pb.Content(image=b"a kitten", content_id="2"),
            options=pb.ModerateOptions(policy_ids=TOO_MANY),
        ),
        b"\xff\xff\xff",
        pb.ModerateStreamRequest(content=GUN),
    ]

    async def sent() -> AsyncIterator[bytes]:
        for message in messages:
            yield message if isinstance(message, bytes) else message.SerializeToString()

    async with served() as service:
        call = service.channel.stream_stream(
            "/moderation.v1.ModerationService/ModerateStream",
            request_serializer=bytes,
            response_deserializer=pb.ModerateStreamResponse.FromString,
        )(sent())
        by_id = {response.result.content_id: response.result async for response in call}

    assert by_id["1"].decision.failure.code == pb.FAILURE_CODE_NOT_AN_IMAGE
    assert by_id["upload-2"].error.field == "options.policy_ids"
    assert "names 257 policies" in by_id["2"].error.message
    assert (by_id[""].error.code, by_id[""].error.field) == (3, "message")
    assert by_id["upload-1"].decision.action == pb.ACTION_BLOCK


async def test_an_item_that_the_encoder_fails_on_leaves_the_others_alone() -> None:
    async with served() as service:
        service.engine.images.fails_on.add("a kitten")
        response = await service.stub.ModerateBatch(pb.ModerateBatchRequest(contents=[KITTEN, GUN]))

    assert response.results[0].decision.failure.code == pb.FAILURE_CODE_ENCODER_FAILED
    assert response.results[1].decision.action == pb.ACTION_BLOCK


async def test_a_deadline_that_passes_in_the_queue_is_told_and_counted() -> None:
    async with served() as service:
        service.engine.images.gate.close()
        first = asyncio.ensure_future(service.stub.Moderate(pb.ModerateRequest(content=GUN)))
        await service.engine.images.gate.reached()
        error = await refused(
            service.stub.Moderate(pb.ModerateRequest(content=KITTEN), timeout=0.2)
        )
        service.engine.images.gate.open()
        await first

        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert service.engine.images.batches == [["a gun"]]


async def test_an_overload_is_told_with_a_time_to_come_back() -> None:
    one_at_a_time = Limits(max_in_flight=1, max_in_flight_bytes=1 << 20, max_request_s=10.0)

    async with served(limits=one_at_a_time) as service:
        service.engine.images.gate.close()
        first = asyncio.ensure_future(service.stub.Moderate(pb.ModerateRequest(content=GUN)))
        await service.engine.images.gate.reached()
        error = await refused(service.stub.Moderate(pb.ModerateRequest(content=KITTEN)))
        service.engine.images.gate.open()
        await first

    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in repr(error.trailing_metadata())


async def test_without_policies_requests_are_turned_away_and_the_status_says_why() -> None:
    async with served(REJECTED) as service:
        error = await refused(service.stub.Moderate(pb.ModerateRequest(content=GUN)))
        listing = await refused(service.stub.ListPolicies(pb.ListPoliciesRequest()))
        status = await service.stub.GetStatus(pb.GetStatusRequest())

    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert listing.code() is grpc.StatusCode.UNAVAILABLE
    assert not status.serving
    assert not status.policy_set.version
    assert list(status.policy_set.last_reload_errors) == [
        "policies/x.yaml:3:7: phrases: must not be empty"
    ]


async def test_a_bad_edit_keeps_the_last_good_set_and_is_told() -> None:
    policy_set = a_policy_set()

    async with served(policy_set) as service:
        service.engine.clock.advance(30.0)
        service.engine.source.holds = REJECTED
        await service.engine.policies.reload()
        status = await service.stub.GetStatus(pb.GetStatusRequest())
        response = await service.stub.Moderate(pb.ModerateRequest(content=GUN))

    assert status.serving
    assert status.policy_set.version == policy_set.version
    assert status.policy_set.age.ToSeconds() == 30
    assert len(status.policy_set.last_reload_errors) == 1
    assert response.decision.policy_set_version == policy_set.version


async def test_the_status_says_what_is_running() -> None:
    async with served(a_policy_set(a_policy(), a_policy("off", mode=Mode.OFF))) as service:
        status = await service.stub.GetStatus(pb.GetStatusRequest())

    assert status.policy_set.policies == 1
    assert (status.encoder.encoder_id, status.encoder.dimensions) == ("fake-encoder", 64)
    assert status.encoder.device == "CPUExecutionProvider"
    assert (status.build.version, status.build.python_version) == ("1.2.3", "3.11.0")
    assert status.started_at.ToDatetime(NOON.tzinfo) == NOON


async def test_the_listing_shows_every_policy_and_profile() -> None:
    knives = a_policy("knives", mode=Mode.OFF, block=None, aggregation="mean", needs_clip=True)
    strict = Profile(
        "strict",
        policy_ids=frozenset({"weapons"}),
        thresholds={"weapons": Thresholds(0.1, 0.2)},
        on_unjudgeable=Action.BLOCK,
    )
    policy_set = a_policy_set(a_policy(contrast=["a drill"]), knives, profiles=[strict])

    async with served(policy_set) as service:
        listing = await service.stub.ListPolicies(pb.ListPoliciesRequest())

    policies = {policy.policy_id: policy for policy in listing.policies}
    profiles = {profile.profile: profile for profile in listing.profiles}
    assert listing.policy_set_version == policy_set.version
    assert [phrase.text for phrase in policies["weapons"].contrast_phrases] == ["a drill"]
    assert policies["knives"].mode == pb.MODE_OFF
    assert policies["knives"].needs_clip
    assert not policies["knives"].HasField("block_threshold")
    assert list(profiles["strict"].policy_ids) == ["weapons"]
    assert profiles["strict"].on_unjudgeable == pb.ACTION_BLOCK
    assert set(profiles["default"].policy_ids) == {"weapons", "knives"}


def request_id_of(metadata: object) -> str:
    assert isinstance(metadata, grpc.aio.Metadata)
    return str(metadata["x-request-id"])


async def test_an_answer_and_its_decision_carry_the_id_that_the_caller_sent() -> None:
    async with served() as service:
        call = service.stub.Moderate(
            pb.ModerateRequest(content=GUN), metadata=[("x-request-id", "upload/7")]
        )
        answer = await call
        trailers = await call.trailing_metadata()

    assert answer.decision.request_id == "upload/7"
    assert request_id_of(trailers) == "upload/7"


async def test_a_caller_without_an_id_that_can_be_used_is_told_another() -> None:
    async with served() as service:
        call = service.stub.Moderate(
            pb.ModerateRequest(content=GUN), metadata=[("x-request-id", "two words")]
        )
        answer = await call
        trailers = await call.trailing_metadata()

    assert len(answer.decision.request_id) == 32
    assert request_id_of(trailers) == answer.decision.request_id


async def test_a_refusal_carries_the_id_beside_its_details() -> None:
    async with served() as service:
        call = service.stub.Moderate(pb.ModerateRequest(), metadata=[("x-request-id", "upload/7")])
        error = await refused(call)
        unknown = health_pb2_grpc.HealthStub(service.channel).Check(
            health_pb2.HealthCheckRequest(service="nonsense"),
            metadata=[("x-request-id", "probe/8")],
        )
        aborted = await refused(unknown)

    assert request_id_of(error.trailing_metadata()) == "upload/7"
    assert "grpc-status-details-bin" in repr(error.trailing_metadata())
    assert request_id_of(aborted.trailing_metadata()) == "probe/8"


async def test_all_items_of_a_batch_or_stream_have_the_id_of_their_rpc() -> None:
    metadata = [("x-request-id", "batch/9")]

    async with served() as service:
        batch = await service.stub.ModerateBatch(
            pb.ModerateBatchRequest(contents=[KITTEN, GUN]), metadata=metadata
        )
        sent = [pb.ModerateStreamRequest(content=content) for content in (KITTEN, GUN)]
        call = service.stub.ModerateStream(iter(sent), metadata=metadata)
        streamed = [response.result async for response in call]
        trailers = await call.trailing_metadata()

    results = [*batch.results, *streamed]
    assert [one.decision.request_id for one in results] == ["batch/9"] * 4
    assert request_id_of(trailers) == "batch/9"
