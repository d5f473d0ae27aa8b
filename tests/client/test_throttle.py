"""A client that is turned away asks less, and notices when it need not any more."""

import random

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.client import Action
from moderation.client.errors import ClientError, InvalidRequest, ServiceUnavailable
from moderation.client.throttle import SENT_ANYWAY, WINDOW_S, Throttle
from moderation.v1 import moderation_pb2 as pb
from tests.client.scripted import (
    Connect,
    ScriptedService,
    connect_async,
    connect_sync,
    overloaded,
    serving,
)
from tests.client.test_budget import Clock

EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
FULL = ServiceUnavailable(EXHAUSTED, "full", retry_after_s=1.5)


@pytest.fixture(params=[connect_async, connect_sync], ids=["async", "sync"])
def connect(request: pytest.FixtureRequest) -> Connect:
    connect: Connect = request.param
    return connect


def is_sent(throttle: Throttle, answer: ClientError | None = None) -> bool:
    """Ask once; whether the service was asked."""
    try:
        throttle.require_room("id")
    except ServiceUnavailable:
        return False
    throttle.answered(answer)
    return True


def sent_of(throttle: Throttle, requests: int, answer: ClientError | None = None) -> int:
    return sum(is_sent(throttle, answer) for _ in range(requests))


def a_throttle(clock: Clock | None = None, seed: int = 7) -> Throttle:
    return Throttle(clock=clock or Clock(), dice=random.Random(seed).random)


def test_a_service_that_answers_gets_everything() -> None:
    assert sent_of(a_throttle(), 1000) == 1000


def test_few_requests_are_sent_whatever_becomes_of_them() -> None:
    assert sent_of(a_throttle(), SENT_ANYWAY, FULL) == SENT_ANYWAY


@given(capacity=st.integers(1, 20), factor=st.integers(3, 20), seed=st.integers(0, 99))
def test_of_many_times_what_is_let_in_about_twice_as_many_are_sent(
    capacity: int, factor: int, seed: int
) -> None:
    clock = Clock()
    throttle = a_throttle(clock, seed)
    sent = [0] * 90
    for second in range(90):
        clock.now_s = float(second)
        for _ in range(capacity * factor):
            room = sent[second] < capacity
            sent[second] += is_sent(throttle, None if room else FULL)

    settled = sent[-30:]
    assert sum(settled) >= 30 * capacity * 0.8
    assert sum(settled) <= 30 * capacity * 2.4 + 60


def test_what_was_before_the_window_is_forgotten() -> None:
    clock = Clock()
    throttle = a_throttle(clock)
    assert sent_of(throttle, 500, FULL) < 100

    clock.now_s = WINDOW_S + 1.5

    assert sent_of(throttle, 500) == 500


@pytest.mark.parametrize(
    "answer",
    [
        InvalidRequest(grpc.StatusCode.INVALID_ARGUMENT, "empty", field="content.image"),
        ServiceUnavailable(grpc.StatusCode.UNAVAILABLE, "stopping", retry_after_s=1.0),
        ServiceUnavailable(EXHAUSTED, "the message is too large"),
    ],
)
def test_only_who_says_when_to_come_back_has_no_room(answer: ClientError) -> None:
    assert sent_of(a_throttle(), 200, answer) == 200


def test_what_is_not_sent_ends_as_if_the_service_had_turned_it_away() -> None:
    throttle = Throttle(clock=Clock(), dice=lambda: 0.0)
    sent_of(throttle, SENT_ANYWAY + 1, FULL)

    with pytest.raises(ServiceUnavailable, match=r"not sent.*request seven") as caught:
        throttle.require_room("seven")

    assert (caught.value.code, caught.value.retry_after_s) == (EXHAUSTED, 1.5)


async def test_a_client_takes_its_posture_and_leaves_a_full_service_alone(
    connect: Connect,
) -> None:
    service = ScriptedService(overloaded(retry_after_s=60.0))

    async with serving(service) as address, connect(address) as client:
        decisions = [await client.moderate(b"image", content_id="one") for _ in range(150)]

    assert SENT_ANYWAY <= len(service.requests) < 100
    assert {Action(decision.action) for decision in decisions} == {Action.REVIEW}
    unavailable = pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert {decision.failure.code for decision in decisions} == {unavailable}
    not_sent = [one for one in decisions if "not sent" in one.failure.message]
    assert len(not_sent) == 150 - len(service.requests)


async def test_what_is_interactive_does_not_keep_bulk_away(connect: Connect) -> None:
    service = ScriptedService(overloaded(retry_after_s=60.0))

    async with serving(service) as address, connect(address) as client:
        for _ in range(100):
            await client.moderate(b"image")
        service.requests.clear()
        for _ in range(SENT_ANYWAY):
            await client.moderate(b"image", bulk=True)

    assert len(service.requests) == SENT_ANYWAY


async def test_a_client_may_be_told_to_send_everything(connect: Connect) -> None:
    service = ScriptedService(overloaded(retry_after_s=60.0))

    async with serving(service) as address, connect(address, throttle=False) as client:
        for _ in range(60):
            await client.moderate(b"image")

    assert len(service.requests) == 60
