"""Sees that the encoder hangs, breaks off what it does, and says when that does not help."""

from enum import Enum

from moderation.service.ports import InterruptibleEncoder, Telemetry

HOPELESS = 2.0
"""In times the limit: a run that was broken off at the limit and still goes on never ends."""


class Pulse(Enum):
    """How the encoder is."""

    FINE = "fine"
    STUCK = "stuck"
    LOST = "lost"
    """Its thread cannot be ended from within: only a new process helps."""


class Watchdog:
    """Looks at the encoder whenever it is asked to."""

    def __init__(
        self, encoder: InterruptibleEncoder, *, limit_s: float, telemetry: Telemetry
    ) -> None:
        self._encoder = encoder
        self._limit_s = limit_s
        self._telemetry = telemetry
        self._pulse = Pulse.FINE

    @property
    def is_stuck(self) -> bool:
        """Whether a batch took too long when it was last looked at."""
        return self._pulse is not Pulse.FINE

    def look(self) -> Pulse:
        """Break off whatever takes longer than it may, and say how the encoder is."""
        longest_s = self._encoder.longest_run_s()
        if longest_s <= self._limit_s:
            self._pulse = Pulse.FINE
        elif longest_s > HOPELESS * self._limit_s:
            self._pulse = Pulse.LOST
        else:
            if self._pulse is Pulse.FINE:
                self._telemetry.encoder_stuck(longest_s)
            self._encoder.break_off(self._limit_s)
            self._pulse = Pulse.STUCK
        return self._pulse
