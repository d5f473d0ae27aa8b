"""Exit codes that scripts can rely on, and errors told in a line instead of a traceback."""

from collections.abc import Iterable
from enum import IntEnum


class Exit(IntEnum):
    """0 to 2 are answers; what cannot be answered starts where sysexits.h does."""

    ALLOW = 0
    REVIEW = 1
    BLOCK = 2
    USAGE = 64
    NO_INPUT = 66
    UNAVAILABLE = 69
    SOFTWARE = 70
    NO_PERMISSION = 77
    CONFIG = 78
    INTERRUPTED = 130
    NOBODY_READS = 141


MEANING: dict[Exit, str] = {
    Exit.ALLOW: "allow",
    Exit.REVIEW: "review",
    Exit.BLOCK: "block",
    Exit.USAGE: "the command line or the request is wrong",
    Exit.NO_INPUT: "a picture could not be read, or there is none",
    Exit.UNAVAILABLE: "the service cannot start or is not serving; client: see --on-unavailable",
    Exit.SOFTWARE: "something failed inside",
    Exit.NO_PERMISSION: "the service refuses this caller",
    Exit.CONFIG: "settings, policies or encoder cannot be used",
    Exit.INTERRUPTED: "interrupted",
    Exit.NOBODY_READS: "the reader of the output went away",
}


class CommandError(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, exit_code: Exit) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_for(actions: Iterable[int]) -> Exit:
    """The strictest action decides; nothing judged counts as no input."""
    strictest = max(actions, default=None)
    return Exit.NO_INPUT if strictest is None else Exit(strictest - 1)
