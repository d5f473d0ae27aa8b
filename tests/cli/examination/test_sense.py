import pytest

from moderation.cli.examination.findings import Level
from moderation.cli.examination.sense import CONTRADICTIONS, look
from tests.cli.examination.patients import levels, settings_of

BROKEN_BY: dict[str, dict[str, object]] = {
    "server.max_message_bytes": {"server__max_message_bytes": 2**20},
    "limits.max_in_flight_bytes": {"limits__max_in_flight_bytes": 2**24},
    "limits.max_request_s": {"limits__max_request_s": 2.0},
    "limits.max_in_flight": {"limits__max_in_flight": 4},
    "batching.max_queue_size": {"batching__max_queue_size": 4},
    "decode.max_memory_bytes": {
        "decode__max_memory_bytes": 192 * 2**20,
        "decode__max_pixels": 100_000_000,
    },
    "policies.max_age_s": {"policies__max_age_s": 10.0},
    "package.poll_s": {
        "package__source": "https://us.example/policies.tar.gz",
        "package__public_keys": "policies.pub",
        "package__poll_s": 600.0,
        "policies__max_age_s": 300.0,
    },
    "shadow_encoder.bundle": {"shadow_encoder__bundle": "starter"},
    "decision_log.mandatory": {"decision_log__mandatory": True},
    "decision_log.directory": {"decision_log__encryption_key_file": "key"},
    "encoder.allow_unverified": {"encoder__allow_unverified": True},
}


def test_the_defaults_make_sense() -> None:
    assert levels(look(settings_of())) == [Level.OK]


@pytest.mark.parametrize("setting", [one.where for one in CONTRADICTIONS])
def test_each_contradiction_is_told_and_no_other(setting: str) -> None:
    (finding,) = look(settings_of(**BROKEN_BY[setting]))

    assert (finding.level, finding.where) == (Level.WARN, setting)
    assert finding.cure


def test_what_no_server_starts_with_fails_and_is_not_called_good_too() -> None:
    (finding,) = look(settings_of(server__port=7000, metrics__port=7000))

    assert finding.level is Level.FAIL
    assert finding.cure
    assert "server.port and metrics.port are both 7000" in finding.what
