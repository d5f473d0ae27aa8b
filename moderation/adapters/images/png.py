"""Surveys a PNG, animated or not: its size, its frames, its text, its checksums."""

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from moderation.adapters.images.exif import UPRIGHT, orientation_of
from moderation.adapters.images.survey import Cursor, Format, Survey, corrupt
from moderation.core.errors import FailureCode, UnjudgeableContent

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER, PIXELS, TRANSPARENCY, END = b"IHDR", b"IDAT", b"tRNS", b"IEND"
ANIMATION, FRAME, FRAME_PIXELS = b"acTL", b"fcTL", b"fdAT"
STILL = frozenset({HEADER, b"PLTE", TRANSPARENCY, PIXELS, END})
ANIMATED = STILL | {ANIMATION, FRAME, FRAME_PIXELS}
ONCE = frozenset({HEADER, b"PLTE", TRANSPARENCY, ANIMATION, b"eXIf"})
"""Of two such chunks one viewer takes the first and another the last: they see two pictures."""

MAX_TEXT_BYTES = 4 * 2**20
"""Of all text in a file, inflated. Metadata of real pictures stays far below."""

GREY, RGB = 0, 2
CHUNK = struct.Struct(">I4s")
NUMBER = struct.Struct(">I")
HEADER_FIELDS = struct.Struct(">IIBBBBB")


@dataclass(slots=True)
class _Reading:
    """What has been found so far."""

    kept: bytearray = field(default_factory=lambda: bytearray(SIGNATURE))
    seen: Counter[bytes] = field(default_factory=Counter)
    header: tuple[int, ...] = ()
    declared_frames: int = 0
    stills_before: int = 0
    orientation: int = UPRIGHT
    text_bytes: int = 0


def survey_png(data: bytes) -> Survey:
    """Read every chunk up to the end chunk and check its checksum; raises UnjudgeableContent."""
    cursor = Cursor(data, Format.PNG)
    cursor.skip(len(SIGNATURE))
    found = _Reading()
    kind = b""
    while kind != END:
        kind, body = _chunk(cursor)
        _read(found, kind, body)
    width, height = found.header[:2]
    return Survey(
        format=Format.PNG,
        width=width,
        height=height,
        encoded=bytes(found.kept),
        frames=_count_frames(found),
        orientation=found.orientation,
    )


def _chunk(cursor: Cursor) -> tuple[bytes, bytes]:
    cursor.count_blocks()
    length, kind = CHUNK.unpack(cursor.take(CHUNK.size))
    body = cursor.take(length)
    (checksum,) = cursor.unpack(NUMBER)
    if _checksum(kind, body) != checksum:
        raise corrupt(Format.PNG, "a checksum does not match")
    return kind, body


def _read(found: _Reading, kind: bytes, body: bytes) -> None:
    if not found.header and kind != HEADER:
        raise corrupt(Format.PNG, "it does not begin with its header")
    if kind in ONCE and kind in found.seen:
        raise corrupt(Format.PNG, "a chunk that may be there once is there twice")
    if reader := READERS.get(kind):
        reader(found, body)
    found.seen[kind] += 1
    if kind in (ANIMATED if found.declared_frames else STILL):
        _keep(found, kind, body)


def _keep(found: _Reading, kind: bytes, body: bytes) -> None:
    if kind == TRANSPARENCY:
        body = _transparency_as_decoded(found.header, body)
    found.kept += CHUNK.pack(len(body), kind)
    found.kept += body
    found.kept += NUMBER.pack(_checksum(kind, body))


def _checksum(kind: bytes, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(kind))


def _unpack(layout: struct.Struct, body: bytes) -> tuple[int, ...]:
    if len(body) < layout.size:
        raise corrupt(Format.PNG, "a header is too short")
    return layout.unpack_from(body)


def _read_header(found: _Reading, body: bytes) -> None:
    found.header = _unpack(HEADER_FIELDS, body)


def _read_animation(found: _Reading, body: bytes) -> None:
    if PIXELS in found.seen:
        return  # too late to count: viewers show a still picture, and so does Pillow
    (found.declared_frames,) = _unpack(NUMBER, body)
    if not found.declared_frames:
        raise corrupt(Format.PNG, "it declares an animation without frames")


def _read_pixels(found: _Reading, _: bytes) -> None:
    if found.declared_frames and FRAME not in found.seen:
        found.stills_before = 1


def _read_exif(found: _Reading, body: bytes) -> None:
    found.orientation = orientation_of(body)


def _read_text(found: _Reading, body: bytes) -> None:
    found.text_bytes += len(body)
    _refuse_long_text(found)


def _read_compressed_text(found: _Reading, body: bytes) -> None:
    _, _, rest = body.partition(b"\0")
    _inflate(found, rest[1:])


def _read_international_text(found: _Reading, body: bytes) -> None:
    _read_text(found, body)
    _, _, rest = body.partition(b"\0")
    if rest[:1] == b"\1":
        _inflate(found, rest[2:].split(b"\0", 2)[-1])


def _inflate(found: _Reading, text: bytes) -> None:
    room = MAX_TEXT_BYTES - found.text_bytes + 1
    try:
        found.text_bytes += len(zlib.decompressobj().decompress(text, room))
    except zlib.error:
        return  # no pixel depends on it
    _refuse_long_text(found)


def _refuse_long_text(found: _Reading) -> None:
    if found.text_bytes > MAX_TEXT_BYTES:
        raise UnjudgeableContent(
            FailureCode.TOO_COSTLY,
            f"the PNG holds more than {MAX_TEXT_BYTES} bytes of text; strip its metadata",
        )


READERS: Mapping[bytes, Callable[[_Reading, bytes], None]] = {
    HEADER: _read_header,
    ANIMATION: _read_animation,
    PIXELS: _read_pixels,
    b"eXIf": _read_exif,
    b"tEXt": _read_text,
    b"zTXt": _read_compressed_text,
    b"iTXt": _read_international_text,
}


def _count_frames(found: _Reading) -> int:
    """Frames that can be shown, a still picture before the animation included.

    The number declared and the frames there must agree: viewers differ in which they believe.
    """
    if not found.declared_frames:
        return 1
    if found.declared_frames != found.seen[FRAME]:
        raise corrupt(Format.PNG, "it does not have the frames that its animation declares")
    return found.stills_before + found.declared_frames


def _transparency_as_decoded(header: tuple[int, ...], body: bytes) -> bytes:
    """The transparent colour in the depth to which Pillow decodes, which compares it as it is.

    Grey of 2 and 4 bits is decoded to 8, and so are 16 bits of red, green and blue.
    """
    depth, colours = header[2:4]
    if colours == GREY and len(body) == 2 and depth in {2, 4}:
        (value,) = struct.unpack(">H", body)
        return struct.pack(">H", min(value * 255 // (2**depth - 1), 255))
    if colours == RGB and len(body) == 6 and depth == 16:
        return struct.pack(">3H", *(value >> 8 for value in struct.unpack(">3H", body)))
    return body
