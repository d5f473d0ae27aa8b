"""Which numbers retention has removed, so that nobody takes them for missing."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from moderation.adapters.decision_log.lines import Position

EXPIRED = "expired.json"


@dataclass(frozen=True, slots=True)
class Expired:
    """Lines from `first` to `last` are gone; the chain stood at `chain` after the last one."""

    first: int
    last: int
    chain: str


def expired_ranges(writer: Path) -> tuple[Expired, ...]:
    """What is gone, the oldest first; empty if that cannot be read."""
    try:
        ranges = json.loads((writer / EXPIRED).read_bytes())
        return tuple(Expired(int(one[0]), int(one[1]), str(one[2])) for one in ranges)
    except (OSError, ValueError, TypeError, IndexError):
        return ()


def expired_until(writer: Path) -> Position:
    """Where the chain stood after the last line that is gone."""
    ranges = expired_ranges(writer)
    return Position(ranges[-1].last, ranges[-1].chain) if ranges else Position()


def note_expired(writer: Path, more: Expired) -> None:
    """Remember that these lines go; before they do. Raises OSError."""
    ranges = sorted({*expired_ranges(writer), more}, key=lambda one: one.first)
    content = json.dumps([[one.first, one.last, one.chain] for one in _merged(ranges)])
    fresh = writer / f"{EXPIRED}.new"
    with fresh.open("w", encoding="ascii") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(writer / EXPIRED)


def _merged(ranges: Sequence[Expired]) -> list[Expired]:
    merged: list[Expired] = []
    for one in ranges:
        if merged and one.first <= merged[-1].last + 1:
            last = max(merged[-1], one, key=lambda either: either.last)
            merged[-1] = Expired(merged[-1].first, last.last, last.chain)
        else:
            merged.append(one)
    return merged
