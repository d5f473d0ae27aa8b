"""Deadlines, load, ids: cases 47 to 55, 67 and 90 to 94 to a real server."""

import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import cast

import grpc
import psutil
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status
from PIL import Image

from moderation.client import InvalidRequest, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.e2e.cases.conftest import ROOT
from tests.e2e.http2 import MODERATE, RawConnection, data, message
from tests.e2e.server import Server, running_server, until
from tests.picture_builders import a_png, blotches, slow_jpeg

pytestmark = pytest.mark.e2e

CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
PATIENCE_S = 20.0
FEW = 2
DESCRIPTORS = 120
IMPATIENT = (("grpc.min_reconnect_backoff_ms", 1000),)
"""Which is also the time for a connection to come about, else 20 s."""


ROUND_S, ROUNDS = 1.5, 3
REFUSED_S = 0.05
LEAST_GOODPUT = 0.5
"""Of what is answered without overload; benchmarks/overload.py, which has the time, finds all."""
ENCODED = "moderation_batch_size_sum"
SHED = 'moderation_shed_total{reason="in_flight"}'
STORM_S = 5.0
LATE = 'moderation_rpcs_total{code="DEADLINE_EXCEEDED",method="' + MODERATE + '"}'
SLOW = 6
"""Pictures, which take the two decoders a second each."""
HURRIED_S = 0.3


def request(image: bytes = CAT, content_id: str = "") -> pb.ModerateRequest:
    return pb.ModerateRequest(content=pb.Content(image=image, content_id=content_id))


@pytest.fixture
def stub(server: Server) -> Iterator[moderation_pb2_grpc.ModerationServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield moderation_pb2_grpc.ModerationServiceStub(channel)


def outcome_of(
    stub: moderation_pb2_grpc.ModerationServiceStub, seed: int, timeout_s: float
) -> grpc.RpcError | pb.ModerateResponse:
    try:
        response: pb.ModerateResponse = stub.Moderate(request(blotches(seed)), timeout=timeout_s)
    except grpc.RpcError as error:
        return error
    return response


@pytest.mark.case(47, 48)
def test_what_there_is_no_room_for_is_told_when_to_come_back(policies: Path) -> None:
    limits = {
        "MODERATION_LIMITS__MAX_IN_FLIGHT": str(FEW),
        "MODERATION_BATCHING__MAX_QUEUE_SIZE": str(FEW),
    }
    with (
        running_server(policies, env=limits) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(10 * FEW) as callers,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        outcomes = list(callers.map(lambda seed: outcome_of(stub, seed, PATIENCE_S), range(100)))

    answered = [one for one in outcomes if isinstance(one, pb.ModerateResponse)]
    refused = [one for one in outcomes if isinstance(one, grpc.RpcError)]
    assert answered
    assert refused
    for error in refused:
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert told_to_wait(error) > 0


def told_to_wait(error: grpc.RpcError) -> float:
    """In seconds, by the RetryInfo that must be there."""
    status = rpc_status.from_call(cast(grpc.Call, error))
    info = error_details_pb2.RetryInfo()
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return float(info.retry_delay.ToTimedelta().total_seconds())


@pytest.mark.case(47)
def test_ten_times_the_callers_cost_no_answers(policies: Path) -> None:
    limits = {"MODERATION_LIMITS__MAX_IN_FLIGHT": str(2 * FEW)}
    seeds = count(10_000)
    with (
        running_server(policies, env=limits) as server,
        grpc.insecure_channel(server.address) as channel,
        ThreadPoolExecutor(10 * FEW) as pool,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)

        def answers(callers: int) -> int:
            end = time.monotonic() + ROUND_S
            return sum(pool.map(lambda _: answers_until(stub, seeds, end), range(callers)))

        answers(FEW)
        rounds = [(answers(FEW), answers(10 * FEW)) for _ in range(ROUNDS)]
        shed = sum(n for name, n in server.metrics().items() if name.startswith("moderation_shed"))

    assert shed > ROUNDS * FEW, "it was no overload"
    assert max(kept / usual for usual, kept in rounds) > LEAST_GOODPUT


def answers_until(
    stub: moderation_pb2_grpc.ModerationServiceStub, seeds: Iterator[int], end: float
) -> int:
    """How many of one caller's pictures are judged; one who is refused comes again too soon.

    Not at once: asking takes the cores that the server needs.
    """
    answered = 0
    while time.monotonic() < end:
        outcome = outcome_of(stub, next(seeds), HURRIED_S)
        answered += isinstance(outcome, pb.ModerateResponse)
        if isinstance(outcome, grpc.RpcError):
            time.sleep(REFUSED_S)
    return answered


@pytest.mark.case(53)
def test_clients_that_are_turned_away_come_back_no_sooner_than_they_are_told(
    policies: Path,
) -> None:
    full = {"MODERATION_LIMITS__MAX_IN_FLIGHT": str(FEW), "MODERATION_LIMITS__MAX_REQUEST_S": "60"}
    white = a_png(Image.new("RGB", (32, 32), "white"))
    with (
        running_server(policies, env=full, program="tests.e2e.hung") as server,
        grpc.insecure_channel(server.address) as channel,
        ModerationClient(server.address, timeout_s=STORM_S) as client,
        ThreadPoolExecutor(10) as callers,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        never_done = [stub.Moderate.future(request(white)) for _ in range(FEW)]
        until(lambda: server.metrics()["moderation_in_flight"] == FEW)
        refused = outcome_of(stub, 53, PATIENCE_S)
        assert isinstance(refused, grpc.RpcError)
        told_s = told_to_wait(refused)

        started = time.monotonic()
        postures = list(callers.map(client.moderate, [CAT] * 10))
        took_s = time.monotonic() - started
        asked = server.metrics()[SHED] - 1
        assert not any(one.done() for one in never_done)
        server.process.kill()

    assert {one.failure.code for one in postures} == {pb.FAILURE_CODE_SERVICE_UNAVAILABLE}
    assert len(postures) < asked <= len(postures) * (1 + took_s / told_s)


@pytest.mark.case(49)
def test_what_is_late_before_its_turn_is_never_encoded(
    stub: moderation_pb2_grpc.ModerationServiceStub, server: Server
) -> None:
    encoded, late = server.metrics()[ENCODED], server.metrics().get(LATE, 0)
    slow = [stub.Moderate.future(request(slow_jpeg() + b"%d" % n)) for n in range(SLOW)]
    until(lambda: server.metrics()["moderation_in_flight"] == SLOW)

    outcome = outcome_of(stub, 4711, HURRIED_S)

    assert not any(one.done() for one in slow[2:]), "it was its turn already"
    assert isinstance(outcome, grpc.RpcError)
    assert outcome.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert all(one.result().decision.verdicts for one in slow)
    assert server.metrics()[LATE] == late + 1, "it never came to the server"
    assert server.metrics()[ENCODED] == encoded + SLOW


@pytest.mark.case(50)
@pytest.mark.parametrize("timeout", ["1n", "1u"])
def test_a_deadline_that_has_passed_is_answered_by_the_server_and_never_encoded(
    server: Server, timeout: str
) -> None:
    before = server.metrics()[ENCODED]
    whole = message(request(blotches(50)).SerializeToString())

    with RawConnection(server.address) as connection:
        connection.send(connection.request(1, extra=[("grpc-timeout", timeout)]))
        connection.send(data(1, whole, end=True))
        status = connection.status()

    assert status == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert server.metrics()[ENCODED] == before


@pytest.mark.case(51)
def test_without_a_deadline_the_server_s_own_holds(policies: Path) -> None:
    hurried = {"MODERATION_LIMITS__MAX_REQUEST_S": "0.001"}
    with (
        running_server(policies, env=hurried) as server,
        grpc.insecure_channel(server.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request())

    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.case(55)
def test_a_server_out_of_descriptors_cannot_be_reached_and_recovers(policies: Path) -> None:
    with running_server(policies) as server:
        own = server.process.pid
        hard = resource.prlimit(own, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(own, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        host, port = server.address.rsplit(":", 1)
        with ExitStack() as held:
            for _ in range(2 * DESCRIPTORS):
                held.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
            until(lambda: psutil.Process(own).num_fds() >= DESCRIPTORS)
            with grpc.insecure_channel(server.address, IMPATIENT) as channel:
                meanwhile = moderation_pb2_grpc.ModerationServiceStub(channel)
                refused = outcome_of(meanwhile, 55, PATIENCE_S)
        with ModerationClient(server.address, timeout_s=30) as client:
            decision = client.moderate(CAT)
        assert server.process.poll() is None

    assert isinstance(refused, grpc.RpcError)
    assert refused.code() is grpc.StatusCode.UNAVAILABLE
    assert not decision.HasField("failure")


@pytest.mark.case(67)
def test_before_there_are_policies_requests_are_turned_away(tmp_path: Path) -> None:
    with (
        running_server(tmp_path, ready=False) as server,
        grpc.insecure_channel(server.address) as channel,
        pytest.raises(grpc.RpcError) as caught,
    ):
        moderation_pb2_grpc.ModerationServiceStub(channel).Moderate(request(), timeout=PATIENCE_S)

    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.case(90)
@pytest.mark.parametrize("content_id", ["../../etc/passwd", "..\\windows", "/etc/passwd"])
def test_a_path_in_an_id_is_refused(client: ModerationClient, content_id: str) -> None:
    with pytest.raises(InvalidRequest, match="content_id: looks like a path"):
        client.moderate(CAT, content_id=content_id)


@pytest.mark.case(91)
@pytest.mark.parametrize("content_id", ["a\nb", "a\x00b", "a\x1b[31m", "a\u202eb", "a" * 10_000])
def test_an_id_that_would_spoil_a_log_is_refused(client: ModerationClient, content_id: str) -> None:
    with pytest.raises(InvalidRequest, match="content_id"):
        client.moderate(CAT, content_id=content_id)


@pytest.mark.case(92)
def test_names_that_callers_make_up_make_no_series(
    client: ModerationClient, server: Server
) -> None:
    def ask(number: int) -> None:
        client.moderate(CAT, content_id=f"made-up-{number}")
        with pytest.raises(InvalidRequest):
            client.moderate(CAT, profile=f"made-up-{number}")

    ask(0)
    before = server.metrics().keys()
    for number in range(1, 50):
        ask(number)

    assert server.metrics().keys() == before


@pytest.mark.case(94)
def test_reflection_that_is_off_is_not_there(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        question = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.ServerReflectionInfo(iter([question]), timeout=PATIENCE_S))

    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
