"""An encoder that hangs is noticed, broken off, and given up when that does not help."""

import pytest

from moderation.service.watchdog import Pulse, Watchdog
from tests.fakes import RecordingTelemetry

LIMIT_S = 10.0


class Encoder:
    """Has been computing for as long as the test says."""

    def __init__(self) -> None:
        self.running_s = 0.0
        self.broken_off: list[float] = []

    def longest_run_s(self) -> float:
        return self.running_s

    def break_off(self, after_s: float) -> None:
        self.broken_off.append(after_s)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


@pytest.fixture
def watchdog(encoder: Encoder, telemetry: RecordingTelemetry) -> Watchdog:
    return Watchdog(encoder, limit_s=LIMIT_S, telemetry=telemetry)


def test_a_batch_within_its_time_is_left_alone(watchdog: Watchdog, encoder: Encoder) -> None:
    encoder.running_s = LIMIT_S

    assert watchdog.look() is Pulse.FINE
    assert not watchdog.is_stuck
    assert encoder.broken_off == []


def test_a_batch_beyond_it_is_broken_off_and_told_of_once(
    watchdog: Watchdog, encoder: Encoder, telemetry: RecordingTelemetry
) -> None:
    for encoder.running_s in (11.0, 12.0):
        assert watchdog.look() is Pulse.STUCK
        assert watchdog.is_stuck

    assert encoder.broken_off == [LIMIT_S, LIMIT_S]
    assert telemetry.stuck == [11.0]


def test_all_is_well_again_once_it_has_ended(watchdog: Watchdog, encoder: Encoder) -> None:
    encoder.running_s = 11.0
    watchdog.look()
    encoder.running_s = 0.0

    assert watchdog.look() is Pulse.FINE
    assert not watchdog.is_stuck


def test_what_does_not_end_for_being_broken_off_is_lost(
    watchdog: Watchdog, encoder: Encoder
) -> None:
    encoder.running_s = 11.0
    watchdog.look()
    encoder.running_s = 21.0

    assert watchdog.look() is Pulse.LOST
    assert watchdog.is_stuck
