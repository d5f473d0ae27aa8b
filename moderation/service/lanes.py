"""Who goes first: callers that wait before work that nobody waits for, which is never starved."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import Generic, Protocol, TypeVar


class Priority(IntEnum):
    """What may go before what; the lower goes first."""

    INTERACTIVE = 0
    BULK = 1


@dataclass(slots=True)
class Urgency:
    """How soon a result is wanted. It may change while the work waits: see `join`."""

    priority: Priority = Priority.INTERACTIVE
    deadline: float = inf
    """On the event loop's clock; a result after it is of no use to anyone."""
    _joined: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)

    def join(self, other: "Urgency") -> None:
        """Serve another caller as well: as soon as the sooner, as long as the more patient."""
        self.priority = min(self.priority, other.priority)
        self.deadline = max(self.deadline, other.deadline)
        self._joined.set()

    async def is_interactive(self) -> None:
        """Return as soon as a caller waits for the result; of bulk that may be never."""
        while self.priority is not Priority.INTERACTIVE:
            self._joined.clear()
            await self._joined.wait()


class Waiting(Protocol):
    """Something that waits for its turn."""

    @property
    def urgency(self) -> Urgency:
        """How soon it is wanted."""
        ...


Entry = TypeVar("Entry", bound=Waiting)


def anything(_entry: object) -> bool:
    """Whatever it is, it fits."""
    return True


class Lanes(Generic[Entry]):
    """Two lanes, each in the order of arrival; `bulk_share` of the places are for bulk at least."""

    def __init__(self, *, bulk_share: float) -> None:
        self._bulk_share = bulk_share
        self._owed = 0.0
        """Places that bulk has not had; a share of a small batch is less than a place."""
        self._lanes: dict[Priority, list[Entry]] = {priority: [] for priority in Priority}

    def __len__(self) -> int:
        """How many wait, in both lanes."""
        return sum(map(len, self._lanes.values()))

    def waiting(self, priority: Priority) -> int:
        """How many wait in one lane."""
        return len(self._lanes[priority])

    def add(self, entries: Iterable[Entry]) -> None:
        """Put each at the end of its lane."""
        for entry in entries:
            self._lanes[entry.urgency.priority].append(entry)

    def remove(self, unwanted: Callable[[Entry], bool]) -> list[Entry]:
        """Take out, and answer with, all that are unwanted."""
        removed: list[Entry] = []
        for priority, lane in self._lanes.items():
            if any(map(unwanted, lane)):
                removed += filter(unwanted, lane)
                self._lanes[priority] = [entry for entry in lane if not unwanted(entry)]
        return removed

    def deadlines(self) -> list[float]:
        """Of all that wait in both lanes, the soonest first."""
        return sorted(entry.urgency.deadline for lane in self._lanes.values() for entry in lane)

    def next(self, most: int, fits: Callable[[Entry], bool] = anything) -> list[Entry]:
        """The next so many that fit, bulk's share included; all stay where they are."""
        self._promote()
        interactive, bulk = ([*filter(fits, lane)] for lane in self._lanes.values())
        n_bulk = self._places_for_bulk(most, len(interactive), len(bulk))
        return interactive[: most - n_bulk] + bulk[:n_bulk]

    def take(self, most: int, fits: Callable[[Entry], bool] = anything) -> list[Entry]:
        """Take these out; who does not fit is passed over, and keeps its place."""
        taken = self.next(most, fits)
        gone = set(map(id, taken))
        bulk = self._lanes[Priority.BULK]
        n_bulk, n_fitting = sum(id(entry) in gone for entry in bulk), sum(map(fits, bulk))
        # What bulk does not want now is not saved up for later.
        owed = self._owed + self._bulk_share * most - n_bulk
        self._owed = max(0.0, owed) if n_bulk < n_fitting else 0.0
        self.remove(lambda entry: id(entry) in gone)
        return taken

    def _promote(self) -> None:
        """Move to the other lane what became urgent while it waited."""
        urgent = [e for e in self._lanes[Priority.BULK] if e.urgency.priority < Priority.BULK]
        if urgent:
            self.remove(lambda entry: any(entry is one for one in urgent))
            self._lanes[Priority.INTERACTIVE] += urgent

    def _places_for_bulk(self, most: int, interactive: int, bulk: int) -> int:
        owed = int(self._owed + self._bulk_share * most)
        return min(bulk, max(owed, most - interactive))
