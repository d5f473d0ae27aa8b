"""Surveys a WebP, animated or not: its canvas, its frames, its orientation."""

import struct
from collections.abc import Iterator

from moderation.adapters.images.exif import UPRIGHT, orientation_of
from moderation.adapters.images.survey import Cursor, Format, Survey, corrupt, truncated

RIFF = struct.Struct("<4sI4s")
CHUNK = struct.Struct("<4sI")
LOSSY, LOSSLESS, EXTENDED = b"VP8 ", b"VP8L", b"VP8X"
FRAME, EXIF = b"ANMF", b"EXIF"
ANIMATED_FLAG = 0x02
EXTENDED_FIELDS = struct.Struct("<B3x3s3s")
LOSSY_FIELDS = struct.Struct("<3x3sHH")
LOSSLESS_FIELDS = struct.Struct("<BI")
LOSSY_START, LOSSLESS_START = b"\x9d\x01\x2a", 0x2F
SIDE_BITS = 0x3FFF


def survey_webp(data: bytes) -> Survey:
    """Read the canvas and count the frames; raises UnjudgeableContent."""
    size = RIFF.unpack_from(data)[1] + CHUNK.size if len(data) >= RIFF.size else len(data) + 1
    if size > len(data):
        raise truncated(Format.WEBP)
    data = data[:size]
    cursor = Cursor(data, Format.WEBP)
    cursor.skip(RIFF.size)
    frames, orientation = 0, UPRIGHT
    chunks = _chunks(cursor)
    first, header = next(chunks, (b"", b""))
    for kind, body in chunks:
        frames += kind == FRAME
        if kind == EXIF and orientation == UPRIGHT:
            orientation = orientation_of(body)
    is_animated, width, height = _canvas(first, header)
    if is_animated != bool(frames):
        raise corrupt(Format.WEBP, "its header and its frames disagree on whether it is animated")
    return Survey(
        format=Format.WEBP,
        width=width,
        height=height,
        encoded=data,
        frames=max(frames, 1),
        orientation=orientation,
    )


def _chunks(cursor: Cursor) -> Iterator[tuple[bytes, bytes]]:
    while not cursor.at_end:
        cursor.count_blocks()
        kind, size = CHUNK.unpack(cursor.take(CHUNK.size))
        body = cursor.take(size)
        if size % 2 and not cursor.at_end:
            cursor.skip(1)
        yield kind, body


def _canvas(kind: bytes, header: bytes) -> tuple[bool, int, int]:
    """Whether there are frames, the width and the height."""
    try:
        if kind == EXTENDED:
            flags, width, height = EXTENDED_FIELDS.unpack_from(header)
            return bool(flags & ANIMATED_FLAG), _side(width), _side(height)
        if kind == LOSSY:
            start, width, height = LOSSY_FIELDS.unpack_from(header)
            if start == LOSSY_START:
                return False, width & SIDE_BITS, height & SIDE_BITS
        if kind == LOSSLESS:
            start, sides = LOSSLESS_FIELDS.unpack_from(header)
            if start == LOSSLESS_START:
                return False, (sides & SIDE_BITS) + 1, (sides >> 14 & SIDE_BITS) + 1
    except struct.error:
        pass
    raise corrupt(Format.WEBP, "it does not begin with a picture's header")


def _side(three_bytes: bytes) -> int:
    return int.from_bytes(three_bytes, "little") + 1
