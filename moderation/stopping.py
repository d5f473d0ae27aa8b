"""How a process of the service is asked to stop, by one signal or two, and that it does end."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass

EXIT_LOST = 70
"""Of a process that cannot go on; as for other errors inside, supervisors start it anew."""

CLOSE_S = 4.0
"""From the closed port to the end of the process: less than a supervisor waits before it kills."""


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


def end_overdue(before: Callable[[], None]) -> threading.Timer:
    """What ends the process `CLOSE_S` after it is started, if the process lives that long.

    An orderly end waits for every thread, and one in which a device or a disk hangs never ends.
    """

    def end() -> None:
        before()
        os._exit(EXIT_LOST)

    timer = threading.Timer(CLOSE_S, end)
    timer.daemon = True
    return timer
