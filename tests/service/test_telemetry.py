"""Several audiences: each hears everything, and none can do harm."""

import pytest

from moderation.core.errors import Problem
from moderation.service.activation import SetOrigin
from moderation.service.outcomes import Lookup, ShadowOutcome, ShedReason, SpanLoss
from moderation.service.ports import EmbeddedTexts
from moderation.service.telemetry import FanOutTelemetry
from tests.builders import a_decision
from tests.contracts import TelemetryContract
from tests.fakes import RecordingTelemetry


class TestFanOut(TelemetryContract):
    @pytest.fixture
    def telemetry(self) -> FanOutTelemetry:
        return FanOutTelemetry(RecordingTelemetry(), RecordingTelemetry())


class BrokenTelemetry(RecordingTelemetry):
    """Fails at every decision."""

    def decided(self, decision: object) -> None:
        raise RuntimeError("disk full")


def test_every_audience_hears_every_event() -> None:
    audiences = RecordingTelemetry(), RecordingTelemetry()
    fan_out = FanOutTelemetry(*audiences)
    decision, problems = a_decision(), (Problem("a.yaml", 1, 1, "empty"),)

    fan_out.decided(decision)
    fan_out.rpc_finished("/Service/Call", "OK", 0.1)
    fan_out.shed(ShedReason.IN_FLIGHT)
    fan_out.queue_changed(3)
    fan_out.batch_encoded(8, 0.1)
    fan_out.embedding_looked_up(Lookup.HIT)
    fan_out.cache_changed(4096)
    fan_out.limit_changed(64)
    fan_out.policies_loaded(
        version="v", policies=2, embedded=EmbeddedTexts(5, 1), seconds=0.1, origin=SetOrigin.SOURCE
    )
    fan_out.policies_unchanged(version="v")
    fan_out.policies_rejected(problems)
    fan_out.binding_checked(None, suits=True)
    fan_out.encoder_shadowed(ShadowOutcome.RECORDED)
    fan_out.encoder_stuck(31.5)
    fan_out.spans_sent(512)
    fan_out.spans_lost(3, SpanLoss.QUEUE_FULL)

    for heard in audiences:
        assert heard.decisions == [decision]
        assert heard.rpcs == [("/Service/Call", "OK")]
        assert heard.sheds == [ShedReason.IN_FLIGHT]
        assert heard.depths == [3]
        assert heard.batch_sizes == [8]
        assert (heard.lookups, heard.cache_sizes, heard.limits) == ([Lookup.HIT], [4096], [64])
        assert heard.loaded == [("v", 2, 5)]
        assert heard.unchanged == ["v"]
        assert heard.rejected == [problems]
        assert heard.bindings == [(None, True)]
        assert (heard.spans, heard.lost_spans) == ([512], [(3, SpanLoss.QUEUE_FULL)])
        assert heard.shadowed == [ShadowOutcome.RECORDED]


def test_an_audience_that_fails_is_logged_once_and_disturbs_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    healthy = RecordingTelemetry()
    fan_out = FanOutTelemetry(BrokenTelemetry(), healthy)

    for number in range(3):
        fan_out.decided(a_decision(decision_id=f"d-{number}"))

    assert len(healthy.decisions) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "telemetry failed: BrokenTelemetry"
    ]


def test_an_audience_that_failed_once_still_hears_the_rest() -> None:
    broken = BrokenTelemetry()
    fan_out = FanOutTelemetry(broken)

    fan_out.decided(a_decision())
    fan_out.queue_changed(3)

    assert broken.depths == [3]
