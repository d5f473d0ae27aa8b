"""Legal holds: what nobody may remove, however old it is and whoever asks for it.

A file of people's making beside the writers' directories. While it cannot be read,
nothing is removed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from moderation.adapters.decision_log.records import moment_of
from moderation.core.record import DecisionRecord

HOLDS = "holds.yaml"


class HoldsUnreadable(OSError):
    """The file of holds cannot be understood; nothing is removed until it can."""


class Hold(BaseModel):
    """Decisions on one content, or of a time, or both."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str
    content_id: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _says_what(self) -> "Hold":
        if self.content_id is None and self.since is None and self.until is None:
            raise ValueError("needs content_id, since or until")
        return self

    def covers(self, record: DecisionRecord) -> bool:
        """Whether the decision is held."""
        moment = moment_of(record)
        return (
            self.content_id in {None, record.content_id}
            and (self.since is None or self.since <= moment)
            and (self.until is None or moment <= self.until)
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    holds: tuple[Hold, ...]


@dataclass(frozen=True, slots=True)
class Holds:
    """Every hold on a log."""

    holds: tuple[Hold, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.holds)

    def on(self, record: DecisionRecord) -> Hold | None:
        """The first one that covers the decision."""
        return next((one for one in self.holds if one.covers(record)), None)


def read_holds(directory: Path) -> Holds:
    """The holds on the log in a directory; none without a file. Raises HoldsUnreadable."""
    path = directory / HOLDS
    try:
        content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return Holds(_File.model_validate(content).holds)
    except FileNotFoundError:
        return Holds()
    except ValidationError as error:
        raise HoldsUnreadable(f"{path}: {_first_problem(error.errors())}") from error
    except (OSError, ValueError, YAMLError) as error:
        raise HoldsUnreadable(f"{path}: cannot be read: {error}") from error


def _first_problem(errors: Iterable[Mapping[str, Any]]) -> str:
    first = next(iter(errors))
    place = ".".join(str(part) for part in first["loc"]) or "the file"
    return f"{place}: {first['msg']}"
