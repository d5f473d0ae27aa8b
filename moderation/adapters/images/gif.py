"""Surveys a GIF: its canvas and its frames."""

import struct

from moderation.adapters.images.survey import Cursor, Format, Survey, corrupt

SIGNATURES = (b"GIF87a", b"GIF89a")
SCREEN = struct.Struct("<HHBxx")
FRAME = struct.Struct("<HHHHB")
EXTENSION, PICTURE = b"!", b","
COMMENT = b"\xfe"
EMPTY = b"\0"
LOOPS = b"\x0bNETSCAPE2.0"
"""How the extension begins that says how often an animation is shown."""
HAS_PALETTE = 0x80
BYTES_PER_FURTHER_BLOCK = 128
"""A block of a GIF holds 255 bytes at the most."""
STEPS_BY_KIND = {EXTENSION: 6, PICTURE: 3}
"""What a block costs, here and in Pillow, in times what a piece of its data does."""


def survey_gif(data: bytes) -> Survey:
    """Walk over every block without inflating any; raises UnjudgeableContent."""
    cursor = Cursor(data, Format.GIF, BYTES_PER_FURTHER_BLOCK)
    cursor.skip(len(SIGNATURES[0]))
    width, height, flags = cursor.unpack(SCREEN)
    _skip_palette(cursor, flags)
    frames = 0
    # Many GIFs lack the byte that ends them, or have rubbish in its place. Browsers show
    # the frames before it, and so do we: what nobody gets to see need not be judged.
    while not cursor.at_end and (kind := cursor.take(1)) in STEPS_BY_KIND:
        cursor.count_blocks(STEPS_BY_KIND[kind])
        if kind == EXTENSION:
            _enter_extension(cursor)
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


def _enter_extension(cursor: Cursor) -> None:
    """Pass over its label; raises UnjudgeableContent where decoders disagree on what follows.

    Pillow reads one piece and then others until an empty one. If the first is the empty one, it
    goes on into what is the next block to everybody else.
    """
    label = cursor.take(1)
    is_empty = cursor.peek(1) == EMPTY
    has_no_loops = cursor.peek(len(LOOPS) + 1) == LOOPS + EMPTY
    if label != COMMENT and (is_empty or has_no_loops):
        raise corrupt(Format.GIF, "an extension of it is empty")


def _skip_palette(cursor: Cursor, flags: int) -> None:
    if flags & HAS_PALETTE:
        cursor.skip(3 << (flags & 7) + 1)
