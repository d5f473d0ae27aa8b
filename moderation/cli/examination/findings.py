"""What a check has found: how bad it is, where, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    """The service works, and will not under some load or after some change."""
    FAIL = "fail"
    """The service does not start, or does not do what the settings ask for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `cure` is empty where all is well."""

    level: Level
    what: str
    where: str = ""
    """A setting, a path or an address."""
    cure: str = ""


def good(what: str, where: str = "") -> Finding:
    """Nothing to do."""
    return Finding(Level.OK, what, where)


def doubtful(what: str, where: str, cure: str) -> Finding:
    """To be looked at in working hours."""
    return Finding(Level.WARN, what, where, cure)


def broken(what: str, where: str, cure: str) -> Finding:
    """To be mended before the service is started."""
    return Finding(Level.FAIL, what, where, cure)
