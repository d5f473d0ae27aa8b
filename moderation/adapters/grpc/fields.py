"""Counts the fields of a message before it is parsed, for those cost more than their bytes.

An empty content of a batch is two bytes on the wire and eighty in memory.
"""

from collections.abc import Mapping
from typing import TypeAlias

from google.protobuf.descriptor import Descriptor

Nested: TypeAlias = "Mapping[int, Nested]"
"""The fields, by their numbers, that are messages themselves, and the same of each of those."""

VARINT, FIXED_64, DELIMITED, FIXED_32 = 0, 1, 2, 5
"""How the bytes after a tag are to be read; groups, 3 and 4, are in none of our messages."""
SIZES: Mapping[int, int] = {FIXED_64: 8, FIXED_32: 4}
VARINT_SHIFTS = range(0, 70, 7)
"""How far each of its bytes, ten at most, is moved to the left."""
CONTINUED = 0x80
"""From here up, a byte of a number is not its last."""


def nested_in(message: Descriptor) -> Nested:
    """Where the messages are in a message of that type, which must hold none of its own type."""
    return {
        field.number: nested_in(field.message_type)
        for field in message.fields
        if field.message_type is not None
    }


def count_fields(message: bytes, nested: Nested, *, most: int) -> int:
    """How many fields it has, those of the messages in it included; it stops beyond `most`.

    Whatever a parser accepts is counted, unknown fields too. Raises ValueError for what none does,
    and for groups.
    """
    count = 0
    waiting = [(0, len(message), nested)]
    while waiting:
        at, end, within = waiting.pop()
        while at < end:
            count += 1
            if count > most:
                return count
            tag, at = _varint(message, at)
            begin, at = _value(message, at, tag & 7)
            if tag >> 3 in within and tag & 7 == DELIMITED:
                waiting.append((begin, at, within[tag >> 3]))
        if at != end:
            raise ValueError("a field ends beyond its message")
    return count


def _value(message: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where the value begins and ends of a field whose tag ends there; raises ValueError."""
    if kind == DELIMITED:
        length, at = _varint(message, at)
        return at, at + length
    if kind == VARINT:
        return at, _varint(message, at)[1]
    if kind in SIZES:
        return at, at + SIZES[kind]
    raise ValueError(f"a field of wire type {kind}")


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it ends; raises ValueError."""
    number = 0
    for shift in VARINT_SHIFTS:
        if at >= len(message):
            break
        byte = message[at]
        at += 1
        if byte < CONTINUED:
            return number | byte << shift, at
        number |= (byte - CONTINUED) << shift
    raise ValueError("a number that does not end")
