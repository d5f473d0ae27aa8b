"""A decision log on a disk, with a clock that the test moves."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from moderation.adapters.decision_log.reading import Query, find
from moderation.adapters.decision_log.records import RecordCodec
from moderation.adapters.decision_log.retention import Retention
from moderation.adapters.decision_log.segments import segments_of, writers_of
from moderation.adapters.decision_log.store import DecisionLogStore, Fsync, WriteRules
from moderation.core.record import DecisionRecord
from tests.builders import NOON, a_judgement

RULES = WriteRules(fsync=Fsync.INTERVAL, segment_bytes=2**20, segment_s=3600.0)
SMALL = WriteRules(fsync=Fsync.ALWAYS, segment_bytes=1)
"""Every batch begins a file."""
FOR_GOOD = Retention()


@dataclass
class Clock:
    now: datetime = NOON
    seconds: float = field(default=0.0)
    """Of the monotonic clock."""

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def set_back(self, seconds: float) -> None:
        self.now -= timedelta(seconds=seconds)


@contextmanager
def a_log(
    directory: Path,
    *,
    rules: WriteRules = RULES,
    retention: Retention = FOR_GOOD,
    codec: RecordCodec | None = None,
    clock: Clock | None = None,
    fsync: Callable[[int], None] = os.fsync,
) -> Iterator[DecisionLogStore]:
    moves = clock or Clock()
    with DecisionLogStore(
        directory,
        rules=rules,
        retention=retention,
        codec=codec or RecordCodec(),
        clock=lambda: moves.now,
        monotonic=lambda: moves.seconds,
        fsync=fsync,
    ) as store:
        yield store


def record(store: DecisionLogStore, *content_ids: str) -> None:
    """A decision on each, in one batch; the decision's id is the content's with a `d-`."""
    store.append([a_judgement(one, decision_id=f"d-{one}") for one in content_ids])


def read(directory: Path, query: Query | None = None) -> list[DecisionRecord]:
    return list(find(directory, query or Query(), RecordCodec()))


def contents_in(directory: Path) -> list[str]:
    return [one.content_id for one in read(directory)]


def files_of(directory: Path) -> list[Path]:
    return [path for writer in writers_of(directory) for path in segments_of(writer)]


def everything_in(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())
