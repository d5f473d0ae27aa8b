"""From settings to traces."""

import sys

import pytest

from moderation.service.tracing import NO_TRACER, Stage
from moderation.settings import SettingsError, load_settings
from moderation.tracing import tracing
from tests.fakes import RecordingTelemetry


def test_without_an_endpoint_there_are_no_traces_and_no_library_is_loaded() -> None:
    with tracing(load_settings({}), RecordingTelemetry()) as tracer:
        span = tracer.begin("/Service/Call", [], "request-7")
        with tracer.stage(Stage.DECODE) as stage:
            stage.hand_over(Stage.ENCODE, 0.1)
        span.end("OK")

    assert tracer is NO_TRACER
    assert (span.trace_id, span.is_sampled) == ("", False)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moderation.adapters.otel.sending", None)
    settings = load_settings({"tracing": {"endpoint": "http://127.0.0.1:9"}})

    with (
        pytest.raises(ImportError, match=r"tracing\.endpoint needs the extra `tracing`"),
        tracing(settings, RecordingTelemetry()),
    ):
        pass


@pytest.mark.parametrize("endpoint", ["collector:4318", "http://user:word@collector", "ftp://x"])
def test_an_endpoint_is_a_url_without_a_password(endpoint: str) -> None:
    with pytest.raises(SettingsError, match=r"tracing\.endpoint"):
        load_settings({"tracing": {"endpoint": endpoint}})
