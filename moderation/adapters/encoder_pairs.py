"""Scores by two encoders, as lines of JSON in a directory: at most so many, the newest."""

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from moderation.core.comparison import Pair, Pairing

CURRENT = "pairs.jsonl"
FORMER = "pairs.1.jsonl"


class PairsUnreadable(ValueError):
    """A file of pairs is missing, or is not what a server has written."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    content: str
    old: str
    new: str
    policies: str
    scores: dict[str, tuple[float, float]]


class PairStore:
    """A PairSink over two files: when the current one is full it replaces the former one."""

    def __init__(self, directory: Path, *, max_pairs: int) -> None:
        self._directory = directory
        self._lines_per_file = max(1, max_pairs // 2)
        self._lines: int | None = None

    def prepare(self) -> None:
        """Make the directory, and see that pairs can be written there; raises OSError."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / CURRENT).open("a"):
            """It can be written."""

    def record(self, pair: Pair) -> None:
        """See PairSink; raises OSError."""
        current = self._directory / CURRENT
        if self._lines is None:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lines = _count_lines(current)
        if self._lines >= self._lines_per_file:
            os.replace(current, self._directory / FORMER)
            self._lines = 0
        with current.open("a", encoding="utf-8") as file:
            file.write(_to_line(pair))
        self._lines += 1


def read_pairs(directory: Path) -> list[Pair]:
    """Every pair in a directory, oldest first; raises PairsUnreadable.

    A line that a crash has cut short is left out, and so is the one that it ran into.
    """
    files = [directory / name for name in (FORMER, CURRENT) if (directory / name).is_file()]
    if not files:
        raise PairsUnreadable(
            f"{directory}: there is no {CURRENT}; start the server with "
            "--shadow-encoder, or compare on a folder with --pictures"
        )
    pairs = [pair for file in files for pair in _pairs_in(file)]
    if not pairs:
        raise PairsUnreadable(f"{directory}: no line of it holds a pair")
    return pairs


def erase_pairs(directory: Path, contents: Collection[str]) -> int:
    """Overwrite the pairs of these contents, named as pairs name them; how many there were.

    May be called while a server writes.
    """
    needles = [json.dumps(content).encode() for content in contents]
    files = [directory / name for name in (FORMER, CURRENT) if (directory / name).is_file()]
    return sum(_blank_lines(file, needles) for file in files)


def newest_pairing(pairs: list[Pair]) -> list[Pair]:
    """Those pairs that compare with the last one: same encoders, same policies."""
    return [pair for pair in pairs if pair.pairing == pairs[-1].pairing]


def _blank_lines(path: Path, needles: Collection[bytes]) -> int:
    blanked = offset = 0
    with path.open("r+b", buffering=0) as file:
        for line in file.read().splitlines(keepends=True):
            if any(needle in line for needle in needles):
                os.pwrite(file.fileno(), b" " * len(line.rstrip(b"\n")), offset)
                blanked += 1
            offset += len(line)
        os.fsync(file.fileno())
    return blanked


def _pairs_in(file: Path) -> Iterator[Pair]:
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                one = _Line.model_validate_json(line)
            except ValidationError:
                continue
            yield Pair(one.content, one.scores, Pairing(one.old, one.new, one.policies))


def _to_line(pair: Pair) -> str:
    line = {
        "content": pair.content,
        "old": pair.pairing.old_encoder,
        "new": pair.pairing.new_encoder,
        "policies": pair.pairing.policy_set_version,
        "scores": pair.scores,
    }
    return json.dumps(line) + "\n"


def _count_lines(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(1 for _ in lines)
