"""How a process of the service is asked to stop: by a signal, and by a second one to hurry."""

import asyncio
import signal
from dataclasses import dataclass

EXIT_LOST = 70
"""Of a process that cannot go on; as for other errors inside, supervisors start it anew."""


@dataclass(frozen=True, slots=True)
class Stops:
    """What was asked for so far."""

    asked: asyncio.Event
    hurried: asyncio.Event
    """A second signal: whoever sends it does not want to wait."""

    def signalled(self) -> None:
        """It was asked for, once more."""
        (self.hurried if self.asked.is_set() else self.asked).set()


def stop_signals() -> Stops:
    """What SIGTERM and SIGINT ask for, from now on, in the running loop."""
    stops = Stops(asyncio.Event(), asyncio.Event())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stops.signalled)
    return stops
