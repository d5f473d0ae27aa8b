"""One request followed from its caller through a real server to a real collector."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec
from moderation.client import Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.collector import Collector, collecting, values
from tests.e2e.server import Server, running_server, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
SERVICE = "moderation.v1.ModerationService"
CALLER = "b7ad6b7169203331"
STAGES = {"admission", "decode", "queue", "encode", "score", "record"}
CONTENT_ID = "name-of-a-picture"
PATIENCE_S = 20.0


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="module")
def decisions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("decisions")


@pytest.fixture(scope="module")
def server(collector: Collector, decisions: Path) -> Iterator[Server]:
    """It keeps only those traces that its callers keep."""
    env = {
        "MODERATION_TRACING__ENDPOINT": collector.url,
        "MODERATION_TRACING__SAMPLE_RATIO": "0",
        "MODERATION_TRACING__SERVICE_NAME": "uploads",
        "MODERATION_DECISION_LOG__DIRECTORY": str(decisions),
        "MODERATION_LOG__LEVEL": "debug",
    }
    with running_server(ROOT / "policies", env=env) as running:
        yield running


@pytest.fixture
def stub(server: Server) -> Iterator[moderation_pb2_grpc.ModerationServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield moderation_pb2_grpc.ModerationServiceStub(channel)


def traceparent(trace_id: str, *, kept: bool = True) -> tuple[str, str]:
    return "traceparent", f"00-{trace_id}-{CALLER}-0{int(kept)}"


def a_content(salt: bytes) -> pb.Content:
    return pb.Content(image=CAT + salt, content_id=CONTENT_ID)


def metrics_of(server: Server, accept: str = "text/plain") -> str:
    request = urllib.request.Request(server.metrics_url, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return str(answer.read().decode())


def test_a_request_is_followed_through_every_stage_the_log_and_the_record(
    stub: moderation_pb2_grpc.ModerationServiceStub,
    server: Server,
    collector: Collector,
    decisions: Path,
) -> None:
    trace_id = "1" * 32

    answer = stub.Moderate(
        pb.ModerateRequest(content=a_content(b"1")),
        metadata=[traceparent(trace_id), ("x-request-id", "traced/1")],
        timeout=PATIENCE_S,
    )
    until(lambda: f"{SERVICE}/Moderate" in collector.of_trace(trace_id))

    spans = collector.of_trace(trace_id)
    whole = spans.pop(f"{SERVICE}/Moderate")
    assert spans.keys() == STAGES
    assert whole.parent_span_id.hex() == CALLER
    assert {span.parent_span_id for span in spans.values()} == {whole.span_id}
    for span in spans.values():
        assert whole.start_time_unix_nano <= span.start_time_unix_nano <= span.end_time_unix_nano
        assert span.end_time_unix_nano <= whole.end_time_unix_nano
    told = values(whole.attributes)
    assert told["moderation.decision_id"] == answer.decision.decision_id
    assert told["moderation.action"] == "ALLOW"
    assert told["moderation.policy_set_version"] == answer.decision.policy_set_version
    assert told["moderation.request_id"] == "traced/1"
    assert collector.services == {"uploads"}
    assert CONTENT_ID not in str(collector.spans)
    (record,) = find(decisions, Query(request_id="traced/1"), RecordCodec())
    assert record.trace_id == trace_id
    line = server.wait_for_seen("decided")
    assert (line["trace_id"], line["decision_id"]) == (trace_id, answer.decision.decision_id)


def test_each_item_of_a_batch_has_its_stages_and_what_is_shared_is_done_once(
    stub: moderation_pb2_grpc.ModerationServiceStub, collector: Collector
) -> None:
    trace_id = "2" * 32
    contents = [a_content(b"2"), a_content(b"2"), pb.Content(image=b"no image")]

    stub.ModerateBatch(
        pb.ModerateBatchRequest(contents=contents),
        metadata=[traceparent(trace_id)],
        timeout=PATIENCE_S,
    )
    until(lambda: f"{SERVICE}/ModerateBatch" in collector.of_trace(trace_id))

    spans = [span for span in collector.spans if span.trace_id.hex() == trace_id]
    (whole,) = (span for span in spans if span.name == f"{SERVICE}/ModerateBatch")
    items = [span for span in spans if span.name == "item"]
    assert {span.parent_span_id for span in items} == {whole.span_id}
    failures = [values(item.attributes).get("moderation.failure_code") for item in items]
    assert sorted(map(str, failures)) == ["None", "None", "not_an_image"]
    names = [span.name for span in spans]
    assert (names.count("item"), names.count("admission"), names.count("record")) == (3, 3, 3)
    assert (names.count("encode"), names.count("shared"), names.count("decode")) == (1, 1, 2)
    within = {span.span_id for span in items}
    assert {span.parent_span_id for span in spans if span not in (whole, *items)} == within


def test_a_trace_that_nobody_keeps_is_named_and_not_sent(
    stub: moderation_pb2_grpc.ModerationServiceStub, collector: Collector, decisions: Path
) -> None:
    not_kept = "3" * 32
    arrived = len(collector.spans)

    stub.Moderate(
        pb.ModerateRequest(content=a_content(b"3")),
        metadata=[traceparent(not_kept, kept=False), ("x-request-id", "unkept/3")],
        timeout=PATIENCE_S,
    )
    stub.Moderate(pb.ModerateRequest(content=a_content(b"4")), timeout=PATIENCE_S)
    kept = "4" * 32
    stub.ListPolicies(pb.ListPoliciesRequest(), metadata=[traceparent(kept)], timeout=PATIENCE_S)
    until(lambda: bool(collector.of_trace(kept)))

    assert len(collector.spans) == arrived + 1
    (record,) = find(decisions, Query(request_id="unkept/3"), RecordCodec())
    assert record.trace_id == not_kept


def test_a_kept_trace_is_an_exemplar_of_the_latency(
    stub: moderation_pb2_grpc.ModerationServiceStub, server: Server
) -> None:
    trace_id = "5" * 32
    stub.Moderate(
        pb.ModerateRequest(content=a_content(b"5")),
        metadata=[traceparent(trace_id)],
        timeout=PATIENCE_S,
    )

    text = metrics_of(server, "application/openmetrics-text; version=1.0.0")

    bucket = rf'^moderation_rpc_duration_seconds_bucket{{.*Moderate"}} .*{{trace_id="{trace_id}"}}'
    assert re.search(bucket, text, re.MULTILINE)


def test_the_last_spans_are_sent_before_a_stop(
    stub: moderation_pb2_grpc.ModerationServiceStub, server: Server, collector: Collector
) -> None:
    trace_id = "6" * 32
    stub.Moderate(
        pb.ModerateRequest(content=a_content(b"6")),
        metadata=[traceparent(trace_id)],
        timeout=PATIENCE_S,
    )

    exit_code = server.terminate()  # and nobody asks it any more

    assert exit_code == 0
    assert f"{SERVICE}/Moderate" in collector.of_trace(trace_id)


@pytest.mark.case(107)
def test_without_its_collector_nothing_is_lost_but_spans_and_they_are_counted() -> None:
    with collecting() as gone:
        env = {
            "MODERATION_TRACING__ENDPOINT": gone.url,
            "MODERATION_TRACING__SAMPLE_RATIO": "1",
        }
    with running_server(ROOT / "policies", env=env) as server:
        with ModerationClient(server.address, timeout_s=PATIENCE_S) as client:
            results = list(client.moderate_stream(Item(CAT, str(n)) for n in range(50)))
            until(lambda: count_of(server, 'spans_lost_total{reason="not_taken"}') >= 200)
            told = server.wait_for_seen("spans_lost")
        exit_code = server.terminate()

    assert all(result.decision.decision_id for result in results)
    assert told["reason"] == "not_taken"
    assert exit_code == 0


def count_of(server: Server, metric: str) -> float:
    start = f"moderation_{metric} "
    (line,) = (line for line in metrics_of(server).splitlines() if line.startswith(start))
    return float(line.split()[1])
