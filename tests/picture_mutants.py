"""Pictures that were spoiled by chance, and always alike: what a decoder's own crashes look like.

Unlike the fuzzer's they need no instrument, so that a real server can be sent all of them.
"""

import struct
from collections.abc import Callable, Iterator
from random import Random

from tests.picture_builders import a_gif, a_jpeg, a_png, a_webp, animated, some_frames

SEED = 20_260_101
MOST_SPOILED = 8
HEADER_BYTES = 64
"""Sizes, counts and offsets stand near the start, in all four formats."""
LIES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)
FORMS = ("<H", ">H", "<I", ">I")

Spoil = Callable[[bytearray, Random], None]


def cut(picture: bytearray, chance: Random) -> None:
    """It ends somewhere."""
    del picture[chance.randrange(1, len(picture)) :]


def flip(picture: bytearray, chance: Random) -> None:
    """Some bits are others."""
    for _ in range(chance.randint(1, MOST_SPOILED)):
        picture[chance.randrange(len(picture))] ^= 1 << chance.randrange(8)


def lie(picture: bytearray, chance: Random) -> None:
    """A number in the header is an extreme one."""
    form = chance.choice(FORMS)
    size = struct.calcsize(form)
    at = chance.randrange(min(HEADER_BYTES, len(picture)) - size)
    struct.pack_into(form, picture, at, chance.choice(LIES) & (256**size - 1))


def blank(picture: bytearray, chance: Random) -> None:
    """A part is nothing but zeros."""
    start = chance.randrange(len(picture))
    end = min(len(picture), start + chance.randint(1, 256))
    picture[start:end] = bytes(end - start)


def repeat(picture: bytearray, chance: Random) -> None:
    """A part is there many times."""
    start = chance.randrange(len(picture))
    part = picture[start : start + chance.randint(1, 64)]
    picture[start:start] = part * chance.randint(1, 50)


def leave_out(picture: bytearray, chance: Random) -> None:
    """A part is missing."""
    start = chance.randrange(1, len(picture))
    del picture[start : start + chance.randint(1, 64)]


SPOILS: tuple[Spoil, ...] = (cut, flip, lie, blank, repeat, leave_out)


def seeds() -> tuple[bytes, ...]:
    """One of every format, and of what is special in each."""
    frames = some_frames(4)
    return (
        a_jpeg(),
        a_jpeg(progressive=True),
        a_jpeg(restart_marker_blocks=2),
        a_png(),
        a_png(frames[3].convert("P")),
        a_webp(),
        a_webp(lossless=False),
        a_gif(),
        *(animated(one, frames) for one in ("GIF", "PNG", "WEBP")),
    )


def mutants(each: int) -> Iterator[bytes]:
    """So many of each seed, spoiled in one or two ways."""
    chance = Random(SEED)
    for seed in seeds():
        for number in range(each):
            picture = bytearray(seed)
            SPOILS[number % len(SPOILS)](picture, chance)
            if chance.random() < 0.5 and len(picture) > HEADER_BYTES:
                chance.choice(SPOILS)(picture, chance)
            yield bytes(picture)
