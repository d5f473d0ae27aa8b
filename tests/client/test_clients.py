"""What holds for both clients."""

import asyncio
import inspect

import grpc
import grpc.aio
import pytest
from opentelemetry.sdk.trace import TracerProvider

from moderation.client import (
    Action,
    AsyncModerationClient,
    CallRefused,
    InvalidRequest,
    Item,
    ModerationClient,
    ServiceUnavailable,
)
from moderation.client.errors import error_from_item, error_from_rpc
from moderation.v1 import moderation_pb2 as pb
from tests.client.scripted import (
    Connect,
    ScriptedService,
    Step,
    a_decision,
    allow,
    connect_async,
    connect_sync,
    dead_address,
    duration,
    failing,
    never,
    overloaded,
    serving,
    wrong,
)

PHOTOGRAPH = bytes(1024 * 1024)
"""More than gRPC keeps for a retry by default."""

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.fixture(params=[connect_async, connect_sync], ids=["async", "sync"])
def connect(request: pytest.FixtureRequest) -> Connect:
    connect: Connect = request.param
    return connect


async def answered(connect: Connect, *steps: Step, timeout_s: float = 10.0) -> pb.Decision:
    """The decision that a client makes of a service with these answers."""
    async with (
        serving(ScriptedService(*steps)) as address,
        connect(address, timeout_s=timeout_s) as client,
    ):
        return await client.moderate(b"image", content_id="one")


def test_both_clients_take_the_same_arguments() -> None:
    for name in ("__init__", "moderate", "moderate_batch", "moderate_stream", "status"):
        one = inspect.signature(getattr(AsyncModerationClient, name))
        other = inspect.signature(getattr(ModerationClient, name))

        assert one.parameters.keys() == other.parameters.keys(), name


def test_actions_are_those_of_the_wire() -> None:
    assert {f"ACTION_{action.name}": action.value for action in Action} == {
        name: number for name, number in pb.Action.items() if number
    }


async def test_the_decision_comes_as_the_service_sent_it(connect: Connect) -> None:
    decision = await answered(connect, allow)

    assert decision == a_decision("one")


async def test_options_and_metadata_and_deadline_reach_the_service(connect: Connect) -> None:
    service = ScriptedService()

    async with (
        serving(service) as address,
        connect(address, timeout_s=5.0, metadata=[("authorization", "Bearer x")]) as client,
    ):
        await client.moderate(
            b"image",
            content_id="one",
            profile="kids",
            policy_ids=["weapons"],
            include_all_verdicts=True,
        )

    (request,) = service.requests
    assert request.content == pb.Content(image=b"image", content_id="one")
    assert request.options == pb.ModerateOptions(
        profile="kids",
        policy_ids=["weapons"],
        include_all_verdicts=True,
        priority=pb.PRIORITY_INTERACTIVE,
    )
    assert service.metadata["authorization"] == "Bearer x"
    assert service.time_remaining_s is not None
    assert service.time_remaining_s == pytest.approx(5.0, abs=1.0)


async def test_work_in_bulk_gives_way(connect: Connect) -> None:
    service = ScriptedService()

    async with serving(service) as address, connect(address) as client:
        await client.moderate(b"image", bulk=True)

    (request,) = service.requests
    assert request.options.priority == pb.PRIORITY_BULK
    assert service.metadata["x-priority"] == "bulk"


async def test_one_string_is_not_taken_for_several_policies(connect: Connect) -> None:
    async with connect(dead_address()) as client:
        with pytest.raises(TypeError, match="weapons"):
            await client.moderate(b"image", policy_ids="weapons")


async def test_credentials_make_the_connection_secure(connect: Connect) -> None:
    local = grpc.LocalConnectionType.LOCAL_TCP
    service = ScriptedService()

    async with (
        serving(service, grpc.local_server_credentials(local)) as address,
        connect(address, credentials=grpc.local_channel_credentials(local)) as client,
    ):
        decision = await client.moderate(b"image")

    assert Action(decision.action) is Action.ALLOW


async def test_a_photograph_is_sent_again_while_the_service_is_unavailable(
    connect: Connect,
) -> None:
    service = ScriptedService(failing(UNAVAILABLE), failing(UNAVAILABLE), allow)

    async with serving(service) as address, connect(address) as client:
        decision = await client.moderate(PHOTOGRAPH)

    assert Action(decision.action) is Action.ALLOW
    assert [len(request.content.image) for request in service.requests] == [len(PHOTOGRAPH)] * 3


@pytest.mark.parametrize(
    ("code", "failures"), [(UNAVAILABLE, 6), (grpc.StatusCode.CANCELLED, 2)], ids=str
)
async def test_a_service_that_is_away_for_a_while_is_waited_for(
    connect: Connect, code: grpc.StatusCode, failures: int
) -> None:
    service = ScriptedService(*[failing(code)] * failures, allow)

    async with serving(service) as address, connect(address) as client:
        decision = await client.moderate(b"image")

    assert Action(decision.action) is Action.ALLOW
    assert len(service.requests) == failures + 1


@pytest.mark.case(53)
async def test_an_overloaded_service_is_asked_again_when_it_said(connect: Connect) -> None:
    service = ScriptedService(overloaded(retry_after_s=0.3), allow)
    loop = asyncio.get_running_loop()

    async with serving(service) as address, connect(address) as client:
        started = loop.time()
        decision = await client.moderate(b"image")
        took_s = loop.time() - started

    assert Action(decision.action) is Action.ALLOW
    assert len(service.requests) == 2
    assert took_s >= 0.3


@pytest.mark.case(53)
async def test_pushback_counts_like_retry_info(connect: Connect) -> None:
    pushed_back = failing(EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "20"),))

    decision = await answered(connect, pushed_back, allow)

    assert Action(decision.action) is Action.ALLOW


@pytest.mark.parametrize(
    "turned_away",
    [
        overloaded(retry_after_s=60.0),
        failing(EXHAUSTED),
        failing(EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "-1"),)),
        failing(EXHAUSTED, trailers=(("grpc-retry-pushback-ms", "soon"),)),
        failing(EXHAUSTED, trailers=(("grpc-status-details-bin", b"\xff"),)),
    ],
    ids=["after-the-deadline", "without-a-time", "forbidden", "nonsense", "damaged"],
)
async def test_an_overloaded_service_is_left_alone_otherwise(
    connect: Connect, turned_away: Step
) -> None:
    service = ScriptedService(turned_away, allow)

    async with serving(service) as address, connect(address) as client:
        decision = await client.moderate(b"image")

    assert Action(decision.action) is Action.REVIEW
    assert len(service.requests) == 1


@pytest.mark.case(53)
async def test_a_service_that_stays_overloaded_is_not_asked_for_ever(connect: Connect) -> None:
    service = ScriptedService(overloaded(retry_after_s=0.001))

    async with serving(service) as address, connect(address) as client:
        decision = await client.moderate(b"image")

    assert Action(decision.action) is Action.REVIEW
    assert len(service.requests) == 5


@pytest.mark.parametrize("posture", list(Action))
async def test_nobody_there_means_the_posture(connect: Connect, posture: Action) -> None:
    async with connect(dead_address(), timeout_s=2.0, on_unavailable=posture) as client:
        decision = await client.moderate(b"image", content_id="one", profile="kids")

    assert Action(decision.action) is posture
    assert decision.content_id == "one"
    assert decision.profile == "kids"
    assert decision.decision_id == ""
    assert decision.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert "UNAVAILABLE" in decision.failure.message
    assert decision.decided_at.seconds > 0


def test_a_posture_that_is_no_action_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Action\.REVIEW.*, got 'review'"):
        AsyncModerationClient("localhost:1", on_unavailable="review")  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize("timeout_s", [0, -1.0, float("nan"), float("inf")])
async def test_a_time_in_which_nothing_can_be_done_is_refused(
    connect: Connect, timeout_s: float
) -> None:
    with pytest.raises(ValueError, match="timeout_s must be a number of seconds above 0"):
        async with connect(dead_address(), timeout_s=timeout_s):
            pass


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="ask within `async with AsyncModerationClient"):
        await AsyncModerationClient(dead_address()).status()

    with ModerationClient(dead_address()) as closed:
        pass
    with pytest.raises(RuntimeError, match="ask within `with ModerationClient"):
        closed.moderate(b"image")


async def test_bytes_are_not_taken_for_an_item(connect: Connect) -> None:
    async with connect(dead_address()) as client:
        with pytest.raises(TypeError, match=r"got bytes; write Item\(image\)"):
            await client.moderate_batch([b"image"])


async def test_a_silent_service_means_the_posture_once_the_time_is_up(connect: Connect) -> None:
    decision = await answered(connect, never, timeout_s=0.2)

    assert Action(decision.action) is Action.REVIEW
    assert "DEADLINE_EXCEEDED" in decision.failure.message


async def test_a_bug_in_the_service_means_the_posture(connect: Connect) -> None:
    decision = await answered(connect, failing(grpc.StatusCode.INTERNAL, "incident 4711"))

    assert Action(decision.action) is Action.REVIEW
    assert "incident 4711" in decision.failure.message


async def test_an_answer_without_an_action_means_the_posture(connect: Connect) -> None:
    async def empty(content: pb.Content, context: object) -> pb.Decision:
        return pb.Decision()

    decision = await answered(connect, empty)

    assert Action(decision.action) is Action.REVIEW


async def test_a_wrong_request_is_raised_with_its_field(connect: Connect) -> None:
    with pytest.raises(InvalidRequest, match=r"options\.profile: scripted") as raised:
        await answered(connect, wrong("options.profile"))

    assert raised.value.field == "options.profile"


async def test_a_wrong_request_is_raised_without_a_field_too(connect: Connect) -> None:
    with pytest.raises(InvalidRequest, match="INVALID_ARGUMENT: no image") as raised:
        await answered(connect, failing(grpc.StatusCode.INVALID_ARGUMENT, "no image"))

    assert raised.value.field == ""


def test_a_field_that_the_message_names_is_not_named_twice() -> None:
    named = error_from_item(pb.ItemError(code=3, message="content.image: is empty"))
    both = error_from_item(pb.ItemError(code=3, message="a.b: is empty", field="a.b"))

    assert str(named) == "INVALID_ARGUMENT: content.image: is empty"
    assert str(both) == "a.b: is empty"


def test_trailers_that_make_no_sense_forbid_a_retry() -> None:
    trailers = grpc.aio.Metadata(
        ("grpc-retry-pushback-ms", "soon"), ("grpc-status-details-bin", b"\xff")
    )
    failure = grpc.aio.AioRpcError(EXHAUSTED, grpc.aio.Metadata(), trailers, "full", None)

    error = error_from_rpc(failure)

    assert isinstance(error, ServiceUnavailable)
    assert error.retry_after_s is None


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNIMPLEMENTED,
    ],
)
async def test_a_refused_caller_is_told(connect: Connect, code: grpc.StatusCode) -> None:
    with pytest.raises(CallRefused, match="no key") as raised:
        await answered(connect, failing(code, "no key"))

    assert raised.value.code is code


async def test_policies_and_status_are_asked_for(connect: Connect) -> None:
    async with serving(ScriptedService()) as address, connect(address) as client:
        policies = await client.list_policies()
        status = await client.status()

    assert [policy.policy_id for policy in policies.policies] == ["weapons"]
    assert status.serving


async def test_what_has_no_posture_is_raised(connect: Connect) -> None:
    async with connect(dead_address()) as client:
        with pytest.raises(ServiceUnavailable):
            await client.status()
        with pytest.raises(ServiceUnavailable):
            await client.list_policies()


async def test_a_batch_keeps_its_order_and_its_failures_apart(connect: Connect) -> None:
    service = ScriptedService()
    refused = pb.ItemError(code=3, message="is empty", field="content.image")
    broken = pb.ItemError(code=13, message="incident 4711")
    service.batch_results = [
        pb.ItemResult(content_id="a", decision=a_decision("a", pb.ACTION_BLOCK)),
        pb.ItemResult(content_id="b", error=refused),
        pb.ItemResult(content_id="c", error=broken),
    ]

    async with serving(service) as address, connect(address) as client:
        a, b, c = await client.moderate_batch([Item(b"image", name) for name in "abc"])

    assert Action(a.decision.action) is Action.BLOCK
    assert a.error is None
    assert isinstance(b.error, InvalidRequest)
    assert b.error.field == "content.image"
    with pytest.raises(InvalidRequest):
        _ = b.decision
    assert Action(c.decision.action) is Action.REVIEW
    assert "incident 4711" in c.decision.failure.message


async def test_items_of_a_batch_that_may_be_retried_are_asked_for_alone(connect: Connect) -> None:
    service = ScriptedService()
    service.batch_results = [
        pb.ItemResult(error=pb.ItemError(code=8, retry_after=duration(0.01))),
        pb.ItemResult(error=pb.ItemError(code=14)),
        # and none at all for the third
    ]

    async with serving(service) as address, connect(address) as client:
        results = await client.moderate_batch([Item(b"image", name) for name in "abc"])

    assert [result.decision for result in results] == [a_decision(name) for name in "abc"]
    assert sorted(request.content.content_id for request in service.requests) == ["a", "b", "c"]


async def test_a_batch_that_nobody_takes_gets_the_posture_for_each(connect: Connect) -> None:
    async with connect(dead_address(), timeout_s=0.5, on_unavailable=Action.BLOCK) as client:
        results = await client.moderate_batch([Item(b"image"), Item(b"image", "b")])

    assert [Action(result.decision.action) for result in results] == [Action.BLOCK] * 2
    assert results[0].content_id
    assert results[1].content_id == "b"


async def test_an_item_that_is_turned_away_in_the_end_gets_the_posture(connect: Connect) -> None:
    service = ScriptedService(failing(grpc.StatusCode.INTERNAL))
    service.batch_results = [pb.ItemResult(error=pb.ItemError(code=14))]

    async with serving(service) as address, connect(address) as client:
        (result,) = await client.moderate_batch([Item(b"image")])

    assert Action(result.decision.action) is Action.REVIEW


async def test_a_stream_to_nobody_gets_the_posture_for_each(connect: Connect) -> None:
    async with connect(dead_address(), timeout_s=0.5, on_unavailable=Action.BLOCK) as client:
        results = await client.moderate_all([Item(b"image", str(number)) for number in range(40)])

    assert {result.content_id for result in results} == {str(number) for number in range(40)}
    assert {Action(result.decision.action) for result in results} == {Action.BLOCK}


async def test_every_request_has_an_id_of_its_own_that_its_retries_keep(connect: Connect) -> None:
    service = ScriptedService(overloaded(0.01), failing(grpc.StatusCode.INTERNAL, "bug"))
    async with serving(service) as address, connect(address) as client:
        decision = await client.moderate(b"image")
        first = service.request_ids
        await client.moderate(b"image")

    assert len(first) == 2
    assert len(set(first)) == 1
    assert service.request_ids[-1] != first[0]
    assert decision.request_id == first[0]
    assert f"(request {first[0]})" in decision.failure.message


async def test_a_caller_may_name_a_request(connect: Connect) -> None:
    service = ScriptedService(wrong("options.profile"))
    async with serving(service) as address, connect(address) as client:
        with pytest.raises(InvalidRequest, match=r"\(request upload/7\)$") as raised:
            await client.moderate(b"image", request_id="upload/7")

    assert service.request_ids == ["upload/7"]
    assert raised.value.request_id == "upload/7"


async def test_an_item_that_is_refused_names_the_request_it_was_in(connect: Connect) -> None:
    service = ScriptedService()
    service.batch_results = [pb.ItemResult(error=pb.ItemError(code=3, message="is empty"))]
    async with serving(service) as address, connect(address) as client:
        (result,) = await client.moderate_batch([Item(b"image")])

    assert result.error is not None
    assert [result.error.request_id] == service.request_ids


async def test_the_trace_that_the_caller_is_in_goes_with_every_kind_of_call(
    connect: Connect,
) -> None:
    service = ScriptedService()
    full = pb.ItemError(code=8, message="full", retry_after=duration(0.01))
    service.batch_results = [pb.ItemResult(error=full)]  # it is asked for again, alone
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    async with serving(service) as address, connect(address) as client:
        with tracer.start_as_current_span("upload") as span:
            await client.moderate(b"image")
            await client.moderate_batch([Item(b"image")])
            await client.moderate_all([Item(b"image")])
        within, service.traces = service.traces, []
        await client.moderate(b"image")

    context = span.get_span_context()
    named = {header.rpartition("-")[0] for header in within}
    assert named == {f"00-{context.trace_id:032x}-{context.span_id:016x}"}
    assert len(within) >= 4
    assert service.traces == [""]
