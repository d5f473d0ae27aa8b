"""The lines of a decision log: one JSON object each, in ASCII, chained to the line before.

A line ends with two checksums. `digest` is that of everything before it, so that a
line can be checked alone. `chain` is that of the chain so far and the digest, so
that a line which is missing or was put in is found. A line that was erased keeps
both: the chain holds, though nothing of the record is left.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SCHEMA = 1
"""Of the lines that are written; readers take those of every version up to it."""
BEGINNING = "0" * 64
"""The chain before the first line."""

_TAIL = re.compile(rb',"digest":"([0-9a-f]{64})","chain":"([0-9a-f]{64})"\} *\n')


class Kind(StrEnum):
    """What a line tells of."""

    DECISION = "decision"
    SEALED = "sealed"
    """A decision that is encrypted."""
    ERASED = "erased"
    """A decision of which nothing is left but that there was one."""
    SEGMENT = "segment"
    """The first line of a file."""
    RECOVERED = "recovered"
    """Bytes that a crash had cut off in the middle of a line were removed."""
    LOST = "lost"
    """Answers were given that could not be recorded."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a chain stands: the number of its last line, and the chain's checksum there."""

    sequence: int = 0
    chain: str = BEGINNING


class LineUnsound(ValueError):
    """A line is not as it was written."""


@dataclass(frozen=True, slots=True)
class Line:
    """A sound line."""

    kind: Kind | str
    """A string for a kind that a later version has added."""
    fields: Mapping[str, Any]
    digest: str
    position: Position

    def follows(self, before: str) -> bool:
        """Whether the chain stood there before this line."""
        return self.position.chain == _chained(before, self.digest)


def as_json(fields: Mapping[str, object]) -> bytes:
    """An object in ASCII: no reader takes anything inside for the end of a line."""
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode("ascii")


def write_line(kind: Kind, fields: bytes, after: Position) -> tuple[bytes, Position]:
    """The line that comes next, and where the chain stands then; the fields are `as_json`."""
    sequence = after.sequence + 1
    body = _body(kind, sequence, fields)
    digest = hashlib.sha256(body).hexdigest()
    position = Position(sequence, _chained(after.chain, digest))
    return _closed(body, digest, position.chain), position


def erased_line(line: Line, length: int, kept: Mapping[str, object]) -> bytes:
    """What takes a line's place: of the same length, with its checksums, and only `kept` of it."""
    body = _body(Kind.ERASED, line.position.sequence, as_json(kept))
    closed = _closed(body, line.digest, line.position.chain)
    return closed[:-1].ljust(length - 1) + b"\n"


def read_line(raw: bytes) -> Line:
    """A line with its line break; raises LineUnsound."""
    tail = _TAIL.search(raw, max(0, raw.rfind(b',"digest":"')))
    if tail is None or tail.end() != len(raw):
        raise LineUnsound("is cut short or no line of a decision log")
    body, digest, chain = raw[: tail.start()], tail[1].decode(), tail[2].decode()
    try:
        fields = json.loads(body + b"}")
        kind, sequence = fields["kind"], int(fields["seq"])
    except (ValueError, TypeError, KeyError) as error:
        raise LineUnsound("was changed: it is no JSON object with its number") from error
    if kind != Kind.ERASED and hashlib.sha256(body).hexdigest() != digest:
        raise LineUnsound("was changed: its checksum is another")
    known = Kind(kind) if kind in set(Kind) else str(kind)
    return Line(known, fields, digest, Position(sequence, chain))


def _body(kind: Kind, sequence: int, fields: bytes) -> bytes:
    """A JSON object but for its closing brace: what the digest is of."""
    known = f'{{"schema":{SCHEMA},"seq":{sequence},"kind":"{kind.value}"'.encode("ascii")
    return known + b"," + fields[1:-1] if len(fields) > 2 else known


def _closed(body: bytes, digest: str, chain: str) -> bytes:
    return body + f',"digest":"{digest}","chain":"{chain}"}}\n'.encode("ascii")


def _chained(chain: str, digest: str) -> str:
    return hashlib.sha256(f"{chain}{digest}".encode("ascii")).hexdigest()
