"""What the log shows, and what it never does."""

import json
from contextlib import redirect_stderr
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Literal

import pytest

from moderation.adapters.console import LogTelemetry
from moderation.adapters.log_form import configure_logging
from moderation.core.decision import Failure
from moderation.core.errors import FailureCode, Problem
from moderation.core.policy import Action, BoundEncoder
from moderation.service.activation import SetOrigin
from moderation.service.outcomes import DecoderLoss, ShedReason, SpanLoss
from moderation.service.ports import EmbeddedTexts
from tests.builders import a_decision, an_encoder_info
from tests.contracts import TelemetryContract

LogFormat = Literal["json", "pretty"]


def a_log(log_format: LogFormat = "json", level: str = "debug") -> tuple[LogTelemetry, StringIO]:
    """Telemetry, and what it writes to the standard error of the process."""
    written = StringIO()
    with redirect_stderr(written):
        configure_logging(log_format, level)
    return LogTelemetry(), written


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


class TestLog(TelemetryContract):
    @pytest.fixture
    def telemetry(self) -> LogTelemetry:
        return a_log()[0]


def test_a_load_is_one_line_of_json() -> None:
    telemetry, written = a_log()
    telemetry.policies_loaded(
        version="abcdef" * 10,
        policies=3,
        embedded=EmbeddedTexts(9, 1),
        seconds=0.12345,
        origin=SetOrigin.SOURCE,
    )

    (line,) = lines(written)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "policies_loaded",
        "level": "info",
        "version": "abcdefabcdef",
        "origin": "source",
        "policies": 3,
        "texts_embedded": 9,
        "texts_recalled": 1,
        "seconds": 0.123,
    }


def test_every_problem_of_a_rejected_set_is_an_error_line_with_its_place() -> None:
    telemetry, written = a_log()
    telemetry.policies_rejected((Problem("a.yaml", 1, 2, "empty"), Problem("b.yaml", 0, 0, "gone")))

    told = [(line["level"], line["event"], line["problem"]) for line in lines(written)]
    assert told == [
        ("error", "policies_rejected", "a.yaml:1:2: empty"),
        ("error", "policies_rejected", "b.yaml: gone"),
    ]


def test_of_very_many_problems_the_first_are_told_and_how_many_more_there_are() -> None:
    telemetry, written = a_log()
    telemetry.policies_rejected([Problem(f"{n}.yaml", 1, 1, "empty") for n in range(3000)])

    told = [line["problem"] for line in lines(written)]
    assert told[:2] == ["0.yaml:1:1: empty", "1.yaml:1:1: empty"]
    assert told[20:] == ["and 2980 more, which `moderation policy lint` lists"]


def test_the_same_rejection_is_told_once_and_its_end_too() -> None:
    telemetry, written = a_log()
    one, other = Problem("a.yaml", 1, 2, "empty"), Problem("b.yaml", 1, 2, "empty")

    for problems in ((one,), (one,), (one, other), (one,)):
        telemetry.policies_rejected(problems)
    telemetry.policies_unchanged(version="0" * 64)
    telemetry.policies_unchanged(version="0" * 64)
    telemetry.policies_rejected((one,))

    told = [(line["level"], line["event"], line.get("problem")) for line in lines(written)]
    assert told == [
        ("error", "policies_rejected", "a.yaml:1:2: empty"),
        ("error", "policies_rejected", "a.yaml:1:2: empty"),
        ("error", "policies_rejected", "b.yaml:1:2: empty"),
        ("error", "policies_rejected", "a.yaml:1:2: empty"),
        ("info", "policies_recovered", None),
        ("debug", "policies_unchanged", None),
        ("error", "policies_rejected", "a.yaml:1:2: empty"),
    ]


def test_decisions_are_told_at_debug_without_what_the_caller_sent() -> None:
    telemetry, written = a_log()
    failure = Failure(FailureCode.TRUNCATED, "why")

    telemetry.decided(a_decision(content_id="private-name"))
    telemetry.decided(a_decision(action=Action.REVIEW, failure=failure))
    telemetry.rpc_finished("/Service/Call", "OK", 0.00123)
    telemetry.shed(ShedReason.IN_FLIGHT)
    telemetry.policies_unchanged(version="0" * 64)

    allowed, failed, call, shed, unchanged = lines(written)
    assert "private-name" not in str(allowed)
    assert (allowed["action"], allowed["failure"]) == ("ALLOW", None)
    assert (failed["action"], failed["failure"]) == ("REVIEW", "truncated")
    assert (call["event"], call["code"], call["seconds"]) == ("rpc_finished", "OK", 0.0012)
    assert (shed["event"], shed["reason"]) == ("request_shed", "in_flight")
    assert unchanged["version"] == "0" * 12
    assert {line["level"] for line in (allowed, failed, call, shed, unchanged)} == {"debug"}


def test_what_happens_too_often_is_not_logged() -> None:
    telemetry, written = a_log()
    telemetry.queue_changed(3)
    telemetry.batch_encoded(8, 0.02)

    assert lines(written) == []


def test_lost_spans_are_told_once_and_their_end_too() -> None:
    telemetry, written = a_log()
    telemetry.tracing(endpoint="http://collector:4318", sample_ratio=0.5)
    telemetry.spans_sent(512)
    telemetry.spans_lost(3, SpanLoss.NOT_TAKEN)
    telemetry.spans_lost(1, SpanLoss.QUEUE_FULL)
    telemetry.spans_sent(512)
    telemetry.spans_sent(512)

    begun, lost, again = lines(written)
    assert (begun["endpoint"], begun["sample_ratio"]) == ("http://collector:4318", 0.5)
    assert (lost["event"], lost["level"], lost["reason"]) == ("spans_lost", "warning", "not_taken")
    assert again["event"] == "spans_sent_again"


def test_thresholds_of_another_encoder_are_a_warning() -> None:
    telemetry, written = a_log()
    telemetry.binding_checked(BoundEncoder("a" * 64, "vit-b32", "encoder.lock"), suits=False)
    telemetry.binding_checked(BoundEncoder("a" * 64, "vit-b32", "encoder.lock"), suits=True)
    telemetry.binding_checked(None, suits=True)

    (line,) = lines(written)
    assert (line["event"], line["level"]) == ("policies_for_another_encoder", "warning")
    assert (line["bound_to"], line["bound_encoder_id"]) == ("vit-b32", "a" * 12)


def test_what_runs_beside_or_not_at_its_best_is_told() -> None:
    telemetry, written = a_log()
    telemetry.encoder_misfit("export this model as int8")
    telemetry.shadowing(an_encoder_info(name="second"), share=0.05, directory="var/pairs")

    misfit, shadow = lines(written)
    assert misfit["reason"] == "export this model as int8"
    assert (shadow["encoder"], shadow["share"], shadow["pairs"]) == ("second", 0.05, "var/pairs")


def test_a_start_tells_where_requests_go_and_what_the_encoder_cannot_see() -> None:
    telemetry, written = a_log()
    starter = an_encoder_info(notice="sees no hate symbols")

    telemetry.listening(
        address="127.0.0.1:1",
        tls=True,
        metrics="http://127.0.0.1:2/metrics",
        policies="/etc/policies",
        encoder=starter,
    )
    telemetry.serving()
    telemetry.stopping()
    telemetry.stop_overdue()

    told = lines(written)
    assert [line["event"] for line in told] == [
        "listening",
        "encoder_notice",
        "serving",
        "stopping",
        "stop_overdue",
    ]
    assert told[0]["address"] == "127.0.0.1:1"
    assert told[0]["tls"] is True
    assert told[0]["policies"] == "/etc/policies"
    assert (told[1]["level"], told[1]["notice"]) == ("warning", "sees no hate symbols")


def test_an_encoder_without_a_notice_has_none_logged() -> None:
    telemetry, written = a_log()
    telemetry.listening(
        address="a", tls=False, metrics="m", policies="p", encoder=an_encoder_info()
    )

    assert [line["event"] for line in lines(written)] == ["listening"]


def test_certificates_are_told_with_their_end_and_the_same_refusal_once() -> None:
    telemetry, written = a_log()
    end = datetime(2027, 1, 31, tzinfo=UTC)

    def load(*, exposed: bool = False) -> None:
        telemetry.certificates_loaded(
            serial="7f", not_after=end, client_ca_not_after=None, key_is_exposed=exposed
        )

    load(exposed=True)
    telemetry.certificates_rejected("tls.crt: expired")
    telemetry.certificates_rejected("tls.crt: expired")
    load()
    telemetry.certificates_rejected("tls.crt: expired")

    told = lines(written)
    assert [(line["level"], line["event"]) for line in told] == [
        ("info", "certificates_loaded"),
        ("warning", "private_key_exposed"),
        ("error", "certificates_rejected"),
        ("info", "certificates_loaded"),
        ("error", "certificates_rejected"),
    ]
    assert (told[0]["serial"], told[0]["not_after"]) == ("7f", "2027-01-31T00:00:00+00:00")
    assert told[2]["reason"] == "tls.crt: expired"


@pytest.mark.parametrize("log_format", ["json", "pretty"])
def test_a_bug_is_logged_with_its_traceback_and_no_local_variable(
    log_format: LogFormat,
) -> None:
    telemetry, written = a_log(log_format)

    def fail(image: bytes) -> None:
        raise RuntimeError(f"{len(image)} bytes")

    try:
        fail(b"the bytes of a caller" + b"!")
    except RuntimeError as error:
        telemetry.bug("incident-1", error)

    logged = written.getvalue()
    assert "incident-1" in logged
    assert "RuntimeError: 22 bytes" in logged
    assert "in fail" in logged
    assert "the bytes of a caller!" not in logged


def test_lines_below_the_level_are_left_out() -> None:
    telemetry, written = a_log(level="warning")

    telemetry.policies_loaded(
        version="v", policies=1, embedded=EmbeddedTexts(1, 1), seconds=0.1, origin=SetOrigin.SOURCE
    )
    telemetry.policies_rejected((Problem("a.yaml", 1, 1, "empty"),))

    assert [line["event"] for line in lines(written)] == ["policies_rejected"]


def test_a_line_break_in_a_value_does_not_start_a_new_line() -> None:
    telemetry, written = a_log()
    telemetry.policies_rejected((Problem("a\nb.yaml", 0, 0, "forged\nline"),))

    assert len(lines(written)) == 1


def test_the_pretty_format_is_text_for_people() -> None:
    telemetry, written = a_log("pretty")

    telemetry.policies_loaded(
        version="v", policies=1, embedded=EmbeddedTexts(1, 1), seconds=0.1, origin=SetOrigin.SOURCE
    )

    logged = written.getvalue()
    assert "policies_loaded" in logged
    assert "texts_embedded=1" in logged
    assert "texts_recalled=1" in logged
    assert "\x1b[" not in logged  # colours are for terminals


@pytest.mark.parametrize("loss", DecoderLoss)
def test_a_lost_decoder_is_told_with_what_became_of_its_picture(loss: DecoderLoss) -> None:
    telemetry, written = a_log()

    telemetry.decoder_lost(loss)

    (line,) = lines(written)
    assert (line["event"], line["reason"]) == ("decoder_replaced", loss.value)
    assert ("answered as" in line["message"]) == (loss is not DecoderLoss.IDLE)


def test_a_decision_log_that_fails_is_told_with_its_place() -> None:
    telemetry, written = a_log()
    telemetry.recording(directory="/var/log/decisions", torn_bytes=0, mandatory=False)

    telemetry.recording_failed("No space left on device")

    assert lines(written)[-1]["event"] == "decision_log_failed"
    assert lines(written)[-1]["directory"] == "/var/log/decisions"
