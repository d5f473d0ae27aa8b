"""Deadlines, load, ids: cases 47 to 55, 67 and 90 to 94 to a real server."""

import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from moderation.client import InvalidRequest, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.e2e.cases.conftest import ROOT
from tests.e2e.http2 import MODERATE, RawConnection, data, message
from tests.e2e.server import Server, running_server, until
from tests.picture_builders import blotches, slow_jpeg

pytestmark = pytest.mark.e2e

CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
PATIENCE_S = 20.0
FEW = 2
DESCRIPTORS = 120


ENCODED = "moderation_batch_size_sum"
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
        status = rpc_status.from_call(cast(grpc.Call, error))
        info = error_details_pb2.RetryInfo()
        assert status is not None
        assert any(detail.Unpack(info) for detail in status.details)
        assert info.retry_delay.ToTimedelta().total_seconds() > 0


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
def test_a_server_out_of_descriptors_recovers(policies: Path) -> None:
    with running_server(policies) as server:
        own = server.process.pid
        hard = resource.prlimit(own, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(own, resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
        host, port = server.address.rsplit(":", 1)
        with ExitStack() as held:
            for _ in range(2 * DESCRIPTORS):
                held.enter_context(socket.create_connection((host, int(port)), timeout=PATIENCE_S))
        with ModerationClient(server.address, timeout_s=30) as client:
            decision = client.moderate(CAT)
        assert server.process.poll() is None

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
