"""Surveys a GIF: its canvas and its frames."""

import struct

from moderation.adapters.images.survey import Cursor, Format, Survey, corrupt

SIGNATURES = (b"GIF87a", b"GIF89a")
SCREEN = struct.Struct("<HHBxx")
FRAME = struct.Struct("<HHHHB")
EXTENSION, PICTURE = b"!", b","
HAS_PALETTE = 0x80
BYTES_PER_FURTHER_BLOCK = 128
"""A block of a GIF holds 255 bytes at the most."""


def survey_gif(data: bytes) -> Survey:
    """Walk over every block without inflating any; raises UnjudgeableContent."""
    cursor = Cursor(data, Format.GIF, BYTES_PER_FURTHER_BLOCK)
    cursor.skip(len(SIGNATURES[0]))
    width, height, flags = cursor.unpack(SCREEN)
    _skip_palette(cursor, flags)
    frames = 0
    # Many GIFs lack the byte that ends them, or have rubbish in its place. Browsers show
    # the frames before it, and so do we: what nobody gets to see need not be judged.
    while not cursor.at_end and (kind := cursor.take(1)) in {EXTENSION, PICTURE}:
        cursor.count_blocks()
        if kind == EXTENSION:
            cursor.skip(1)
        else:
            frames += 1
            left, top, frame_width, frame_height, flags = cursor.unpack(FRAME)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            _skip_palette(cursor, flags)
            cursor.skip(1)
        cursor.skip_sub_blocks()
    if not frames:
        raise corrupt(Format.GIF, "it has no frame")
    return Survey(
        format=Format.GIF,
        width=width,
        height=height,
        encoded=data[: cursor.position],
        frames=frames,
    )


def _skip_palette(cursor: Cursor, flags: int) -> None:
    if flags & HAS_PALETTE:
        cursor.skip(3 << (flags & 7) + 1)
