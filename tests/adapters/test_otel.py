"""Spans on their way to a real collector: what they say, and what becomes of them if it is gone."""

import time
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from moderation.adapters.otel import sending
from moderation.adapters.otel.sending import TraceSettings, span_tracer
from moderation.core.decision import Failure
from moderation.core.errors import FailureCode
from moderation.core.policy import Action
from moderation.service.outcomes import SpanLoss
from moderation.service.tracing import NO_STAGE, Stage, Tracer
from tests.builders import a_decision
from tests.collector import Collector, collecting, values
from tests.fakes import RecordingTelemetry

METHOD = "/moderation.v1.ModerationService/Moderate"
TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{CALLER}-01"
NAME = METHOD.removeprefix("/")


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


def settings(collector: Collector, *, sample_ratio: float = 1.0) -> TraceSettings:
    return TraceSettings(collector.url, sample_ratio, "uploads", "1.2.3")


def answer(tracer: Tracer, traceparent: str = "", *, code: str = "OK") -> str:
    """One request with one stage; the id of its trace."""
    metadata = [("traceparent", traceparent)] if traceparent else []
    span = tracer.begin(METHOD, [*metadata, ("key-bin", b"\xff")], "request-7")
    with tracer.stage(Stage.DECODE):
        pass
    tracer.decided(a_decision(decision_id="d-7", content_id="private-name"))
    span.end(code)
    return span.trace_id


def test_a_request_is_a_part_of_its_callers_trace(collector: Collector) -> None:
    telemetry = RecordingTelemetry()

    with span_tracer(settings(collector, sample_ratio=0.0), telemetry) as tracer:
        assert answer(tracer, TRACEPARENT) == TRACE_ID

    spans = collector.of_trace(TRACE_ID)
    assert collector.services == {"uploads"}
    assert spans[NAME].parent_span_id.hex() == CALLER
    assert spans[NAME].kind == Span.SPAN_KIND_SERVER
    assert spans["decode"].parent_span_id == spans[NAME].span_id
    assert values(spans[NAME].attributes) == {
        "rpc.system.name": "grpc",
        "rpc.method": NAME,
        "rpc.response.status_code": "OK",
        "moderation.request_id": "request-7",
        "moderation.decision_id": "d-7",
        "moderation.action": "ALLOW",
        "moderation.profile": "default",
        "moderation.policy_set_version": "0" * 64,
        "moderation.cached": False,
    }
    assert telemetry.spans == [2]
    assert telemetry.lost_spans == []


def test_a_trace_that_begins_here_is_drawn_by_the_ratio(collector: Collector) -> None:
    with span_tracer(settings(collector, sample_ratio=0.0), RecordingTelemetry()) as tracer:
        none = answer(tracer)
    with span_tracer(settings(collector, sample_ratio=1.0), RecordingTelemetry()) as tracer:
        all_of_them = answer(tracer)

    assert collector.of_trace(all_of_them).keys() == {NAME, "decode"}
    assert len(none) == 32
    assert len(collector.spans) == 2


def test_a_caller_who_keeps_no_trace_gets_none(collector: Collector) -> None:
    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        assert answer(tracer, TRACEPARENT.removesuffix("01") + "00") == TRACE_ID

    assert collector.spans == []


@pytest.mark.parametrize("malformed", ["", "00-0-0-01", f"ff-{TRACE_ID}-{CALLER}-01", "x" * 5000])
def test_a_malformed_trace_context_counts_as_none(collector: Collector, malformed: str) -> None:
    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        begun = answer(tracer, malformed)

    assert begun != TRACE_ID
    assert not collector.of_trace(begun)[NAME].parent_span_id


def test_nobody_follows_health_checks(collector: Collector) -> None:
    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        span = tracer.begin("/grpc.health.v1.Health/Check", [], "")
        span.end("OK")
        assert tracer.stage(Stage.DECODE) is NO_STAGE
        tracer.decided(a_decision())

    assert (span.trace_id, span.is_sampled) == ("", False)
    assert collector.spans == []


def test_an_error_marks_its_stage_by_its_name_alone(collector: Collector) -> None:
    failure = Failure(FailureCode.TRUNCATED, "why")

    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        span = tracer.begin(METHOD, [], "")
        with pytest.raises(ValueError, match="private"), tracer.stage(Stage.DECODE):
            raise ValueError("private-name")
        tracer.decided(a_decision(action=Action.REVIEW, failure=failure))
        span.end("INTERNAL")

    spans = collector.of_trace(span.trace_id)
    assert values(spans["decode"].attributes) == {"error.type": "ValueError"}
    assert spans["decode"].status.code == Status.STATUS_CODE_ERROR
    assert spans[NAME].status.code == Status.STATUS_CODE_ERROR
    assert values(spans[NAME].attributes)["moderation.failure_code"] == "truncated"
    assert "private-name" not in str(collector.spans)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("OK", Status.STATUS_CODE_UNSET),
        ("INVALID_ARGUMENT", Status.STATUS_CODE_UNSET),
        ("RESOURCE_EXHAUSTED", Status.STATUS_CODE_UNSET),
        ("UNAVAILABLE", Status.STATUS_CODE_ERROR),
    ],
)
def test_what_a_caller_got_wrong_is_no_error_of_the_server(
    collector: Collector, code: str, status: Status.StatusCode.ValueType
) -> None:
    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        trace_id = answer(tracer, code=code)

    span = collector.of_trace(trace_id)[NAME]
    assert span.status.code == status
    assert values(span.attributes).get("error.type", "OK") == code


def test_a_stage_ends_where_the_next_one_began(collector: Collector) -> None:
    with span_tracer(settings(collector), RecordingTelemetry()) as tracer:
        span = tracer.begin(METHOD, [], "")
        with tracer.stage(Stage.ITEM), tracer.stage(Stage.QUEUE) as queue:
            time.sleep(0.02)
            queue.hand_over(Stage.ENCODE, 0.01)
        with tracer.stage(Stage.SCORE) as score:
            score.hand_over(Stage.RECORD, 3600.0)  # no stage ends before it began
        span.end("OK")

    spans = collector.of_trace(span.trace_id)
    waited, encoded = spans["queue"], spans["encode"]
    assert waited.end_time_unix_nano == encoded.start_time_unix_nano
    assert encoded.end_time_unix_nano - encoded.start_time_unix_nano == pytest.approx(1e7, abs=1e3)
    assert {waited.parent_span_id, encoded.parent_span_id} == {spans["item"].span_id}
    assert spans["item"].parent_span_id == spans[NAME].span_id
    assert spans["score"].end_time_unix_nano == spans["score"].start_time_unix_nano


def test_a_collector_that_refuses_loses_spans_which_are_counted(collector: Collector) -> None:
    collector.status = 400
    telemetry = RecordingTelemetry()

    with span_tracer(settings(collector), telemetry) as tracer:
        answer(tracer)

    assert telemetry.spans == []
    assert telemetry.lost_spans == [(2, SpanLoss.NOT_TAKEN)]


def test_an_endpoint_with_a_path_is_asked_there(collector: Collector) -> None:
    elsewhere = TraceSettings(f"{collector.url}/elsewhere", 1.0, "uploads", "1")
    telemetry = RecordingTelemetry()

    with span_tracer(elsewhere, telemetry) as tracer:
        answer(tracer)

    assert telemetry.lost_spans == [(2, SpanLoss.NOT_TAKEN)]  # the collector knows one path


def test_a_collector_that_hangs_holds_up_neither_requests_nor_a_stop(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "MAX_WAITING", 50)
    monkeypatch.setattr(sending, "FLUSH_S", 0.1)
    monkeypatch.setattr(sending, "BATCH", 10)
    monkeypatch.setattr(sending, "SENDING_S", 1.0)
    collector.gate.clear()
    telemetry = RecordingTelemetry()

    with span_tracer(settings(collector), telemetry) as tracer:
        for _ in range(100):
            answer(tracer)
        asked = time.monotonic()
    took_s = time.monotonic() - asked

    assert took_s < 5.0
    full = sum(count for count, loss in telemetry.lost_spans if loss is SpanLoss.QUEUE_FULL)
    assert full == 150
