"""The log of a real server under right, wrong and hostile requests: its form, and its silence."""

import base64
import json
import shutil
from pathlib import Path
from typing import Any

import grpc
import pytest

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec
from moderation.client import InvalidRequest, Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.e2e.http2 import RawConnection, data, message
from tests.e2e.server import Server, running_server
from tests.pictures import UNJUDGEABLE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
SECRET = b"bytes-of-a-picture"
NAME = "name-of-a-picture"
REQUIRED = {"event", "level", "timestamp"}
MODERATE = "/moderation.v1.ModerationService/Moderate"


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decisions")


@pytest.fixture(scope="module")
def log(decisions: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Every line of a server that was asked all that follows, at the level that tells most."""
    copy = tmp_path_factory.mktemp("log") / "policies"
    policies = Path(shutil.copytree(ROOT / "policies", copy))
    env = {"MODERATION_LOG__LEVEL": "debug", "MODERATION_DECISION_LOG__DIRECTORY": str(decisions)}
    with running_server(policies, env=env) as server:
        with ModerationClient(server.address, timeout_s=30) as client:
            ask_rightly(client)
            ask_wrongly(client)
        attack(server)
        (policies / "alcohol.yaml").write_text("id: alcohol\nphrases: [\n")
        server.wait_for("policies_rejected")
        server.terminate()
        return server.whole_log()


def ask_rightly(client: ModerationClient) -> None:
    client.moderate(CAT + SECRET, content_id=NAME, request_id="one/1")
    client.moderate_batch([Item(CAT + SECRET, NAME), Item(SECRET, NAME)])
    list(client.moderate_stream([Item(CAT + SECRET, NAME)]))
    client.list_policies()
    client.status()


def ask_wrongly(client: ModerationClient) -> None:
    for number, (build, _) in enumerate(UNJUDGEABLE.values()):
        client.moderate(build() + SECRET, content_id=f"{NAME}-{number}")
    with pytest.raises(InvalidRequest):
        client.moderate(SECRET, content_id=f"{NAME}\n{{}}", request_id="wrong/2")
    with pytest.raises(InvalidRequest):
        client.moderate(SECRET, profile=NAME)


def attack(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        raw = channel.unary_unary(MODERATE, request_serializer=bytes, response_deserializer=bytes)
        nonsense = channel.unary_unary(
            f"{MODERATE}{NAME}", request_serializer=bytes, response_deserializer=bytes
        )
        for call in (raw.future(b"\xff" + SECRET), nonsense.future(SECRET)):
            assert call.code() is not grpc.StatusCode.OK
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        request = pb.ModerateRequest(content=pb.Content(image=CAT + SECRET + b"!"))
        for _ in range(20):
            stub.Moderate.future(request, timeout=0.01)
            stub.Moderate.future(request).cancel()
    with RawConnection(server.address) as connection:
        forged = connection.request(1, extra=[("x-request-id", 'x" {"event": "forged"}')])
        connection.send(forged, data(1, message(b"\xff"), end=True))
        assert connection.status() == grpc.StatusCode.INVALID_ARGUMENT.value[0]


@pytest.fixture
def of_requests(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in log if "request_id" in line]


def test_every_line_is_one_event_in_json(log: list[dict[str, Any]]) -> None:
    assert len(log) > 50
    for line in log:
        assert line.keys() >= REQUIRED, line
        assert line["event"] != "not JSON"


def test_no_line_tells_of_content_what_is_not_meant_for_a_log(log: list[dict[str, Any]]) -> None:
    written = json.dumps(log)

    assert NAME not in written
    assert SECRET.decode() not in written
    assert SECRET.hex() not in written
    assert base64.b64encode(CAT[300:330]).decode() not in written
    assert "forged" not in written


def test_the_lines_of_a_request_are_found_by_the_id_that_its_caller_sent(
    of_requests: list[dict[str, Any]], decisions: Path
) -> None:
    of_one = [line for line in of_requests if line["request_id"] == "one/1"]
    of_wrong = [line for line in of_requests if line["request_id"] == "wrong/2"]
    (record,) = find(decisions, Query(request_id="one/1"), RecordCodec())

    assert [line["event"] for line in of_one] == ["decided", "rpc_finished"]
    assert of_one[0]["decision_id"] == record.decision_id
    assert record.content_id == NAME
    assert (of_one[1]["method"], of_one[1]["code"]) == (MODERATE, "OK")
    assert [line["code"] for line in of_wrong] == ["INVALID_ARGUMENT"]


def test_every_decision_and_every_known_call_names_its_request(
    log: list[dict[str, Any]],
) -> None:
    told = [line for line in log if line["event"] in {"decided", "rpc_finished"}]

    nameless = [line for line in told if "request_id" not in line]

    assert {line["method"] for line in nameless} <= {"unknown"}
    assert len({line["request_id"] for line in told if line not in nameless}) > 20
