"""When a worker that died is replaced, and when that has no sense any more."""

from dataclasses import dataclass

QUICK_S = 10.0
"""Who lives no longer than this did not die of bad luck."""
FIRST_PAUSE_S = 0.1
GROWTH = 3.0
LONGEST_PAUSE_S = 30.0
MAX_QUICK_DEATHS = 5


class WorkersLost(Exception):
    """The service cannot go on; `exit_code` is that of a worker that refused to start, or 70."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(slots=True)
class Restarts:
    """Of one place among the workers: the pause grows with every quick death in a row."""

    quick_deaths: int = 0

    def died(self, lived_s: float) -> float:
        """How many seconds to wait before the next one is started."""
        self.quick_deaths = self.quick_deaths + 1 if lived_s < QUICK_S else 0
        if not self.quick_deaths:
            return FIRST_PAUSE_S
        return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * GROWTH ** (self.quick_deaths - 1))

    @property
    def is_hopeless(self) -> bool:
        """Whether it was tried often enough in a row; others that serve are a reason to go on."""
        return self.quick_deaths >= MAX_QUICK_DEATHS


def death(exit_code: int) -> str:
    """How a process ended, for people: negative codes are signals."""
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
