"""Builds pictures as files, odd and hostile ones among them, in milliseconds and always alike.

`tests.pictures` lists them as the cases that a decoder has to answer.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import cache
from io import BytesIO

import numpy as np
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, PALETTE, RGB_ALPHA = 0, 2, 3, 6
"""Colour types of a PNG."""


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    """The image as a file of this format."""
    file = BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


@cache
def a_picture(width: int = 96, height: int = 64) -> Image.Image:
    """Smooth colours that differ in every corner, so that a wrong turn or cut shows."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    bulge = 255 * np.exp(-((across - 80) ** 2 + (down - 60) ** 2) / 4000)
    return Image.fromarray(np.stack([across, down, bulge], axis=-1).astype(np.uint8))


def a_jpeg(**options: object) -> bytes:
    """A JPEG of good quality."""
    return encoded(a_picture(), "JPEG", **{"quality": 95, "subsampling": 0, **options})


def a_png(image: Image.Image | None = None, **options: object) -> bytes:
    """A PNG."""
    return encoded(image or a_picture(), "PNG", **options)


def a_webp(**options: object) -> bytes:
    """A lossless WebP."""
    return encoded(a_picture(), "WEBP", **{"lossless": True, **options})


def a_gif() -> bytes:
    """A GIF of one frame."""
    return encoded(a_picture(), "GIF")


def some_frames(count: int) -> list[Image.Image]:
    """Frames of one colour each, from black to bright red."""
    reds = np.linspace(0, 255, count).astype(int)
    return [Image.new("RGB", (32, 24), (int(red), 0, 0)) for red in reds]


def animated(image_format: str, frames: Sequence[Image.Image], **options: object) -> bytes:
    """An animation of these frames."""
    rest = list(frames[1:])
    return encoded(
        frames[0], image_format, save_all=True, append_images=rest, duration=50, **options
    )


def chunk(kind: bytes, body: bytes = b"") -> bytes:
    """One chunk of a PNG, with the right checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + checksum


def png_header(width: int, height: int, depth: int = 8, colours: int = RGB) -> bytes:
    """The signature and the header chunk of a PNG."""
    fields = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    return PNG_SIGNATURE + chunk(b"IHDR", fields)


def png_of_rows(
    rows: Sequence[bytes], width: int, depth: int, colours: int, before: bytes = b""
) -> bytes:
    """A PNG from packed rows of samples, with chunks put before them."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    header = png_header(width, len(rows), depth, colours)
    return header + before + chunk(b"IDAT", pixels) + chunk(b"IEND")


def png_with(extra: bytes) -> bytes:
    """An ordinary PNG with chunks put in behind its header."""
    whole, header = a_png(), len(png_header(1, 1))
    return whole[:header] + extra + whole[header:]


def png_bomb(width: int = 13_000, height: int = 13_000, depth: int = 8) -> bytes:
    """A complete black PNG, a thousand times smaller than its pixels; height in thousands.

    A thousand rows are compressed once, and repeated as they are.
    """
    colours, samples = (RGB, 3) if depth == 8 else (GREY, 1)
    rows = bytes(1 + (width * depth * samples + 7) // 8) * 1000
    compressor = zlib.compressobj(1, wbits=-15)
    repeated = compressor.compress(rows) + compressor.flush(zlib.Z_FULL_FLUSH)
    times = height // 1000
    checksum_of_zeros = (len(rows) * times % 65521) << 16 | 1
    pixels = b"\x78\x01" + repeated * times + b"\x03\0" + struct.pack(">I", checksum_of_zeros)
    header = png_header(width, height, depth, colours)
    return header + chunk(b"IDAT", pixels) + chunk(b"IEND")


def exif(orientation: int, order: str = ">") -> bytes:
    """EXIF data that says how the picture is to be turned, and nothing else."""
    start = {">": b"MM\0*", "<": b"II*\0"}[order]
    entry = struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0)
    directory = struct.pack(order + "H", 1) + entry + bytes(4)
    return b"Exif\0\0" + start + struct.pack(order + "I", 8) + directory


TURNED_AWAY = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def turned(orientation: int, image_format: str = "PNG") -> bytes:
    """`a_picture` stored turned, with the EXIF orientation that turns it back."""
    away = TURNED_AWAY[orientation]
    stored = a_picture() if away is None else a_picture().transpose(away)
    options = {"lossless": True} if image_format == "WEBP" else {}
    return encoded(stored, image_format, exif=exif(orientation), **options)


def progressive_jpeg_with_scans(further: int) -> bytes:
    """A progressive JPEG whose last scan comes so many times more."""
    whole = a_jpeg(progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * further + b"\xff\xd9"


@cache
def slow_jpeg() -> bytes:
    """A JPEG of 150 KB and 25 megapixels that is within every limit, and takes about a second."""
    whole = encoded(Image.new("RGB", (5000, 5000), (10, 20, 30)), "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * 39 + b"\xff\xd9"


@cache
def large_png() -> bytes:
    """A PNG of 25 megapixels, which take 100 MB once they are decoded."""
    return encoded(Image.new("RGB", (5000, 5000), (10, 20, 30)), "PNG", compress_level=1)


def large_animation() -> bytes:
    """A WebP of as many pixels in all its frames as are allowed, and of little use for caches."""
    frames = [
        Image.effect_noise((160, 160), 50).resize((1600, 1600)).convert("RGBA") for _ in range(2)
    ]
    return animated("WEBP", frames * 12, quality=5, method=0)


def gif_header(width: int, height: int) -> bytes:
    """The signature and the screen of a GIF, with a palette of black and white."""
    return b"GIF89a" + struct.pack("<HHBxx", width, height, 0x80) + bytes(3) + b"\xff" * 3


FRAME_FIELDS_BYTES = 9
GIF_FRAME = b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
"""One dot in a corner."""


def gif_of_dots(frames: int, width: int = 16, height: int = 16) -> bytes:
    """A GIF of so many frames, a few bytes each."""
    return gif_header(width, height) + GIF_FRAME * frames + b";"


def gif_beyond_its_canvas() -> bytes:
    """A GIF of 16 x 16 dots whose frame lies far outside."""
    frame = b"," + struct.pack("<HHHHB", 60_000, 60_000, 1, 1, 0) + GIF_FRAME[10:]
    return gif_header(16, 16) + GIF_FRAME + frame + b";"


def gif_with_hidden_frame(empty_extension: bytes = b"!\xf9\0") -> bytes:
    """Two small frames to whoever takes an empty extension for ended; Pillow finds a huge one.

    A fuzzer made the first: 268 bytes, for which Pillow took 8 s and 4 GB.
    """
    size_of_comma = ord(",")
    huge = (
        b"!\xf9\x04\x08\0\0\0\0" + b"," + struct.pack("<HHHHB", 60_000, 60_000, 60_000, 60_000, 0)
    )
    data = bytes(size_of_comma - FRAME_FIELDS_BYTES - 2) + b"\0" + huge + GIF_FRAME[10:]
    frame = b"," + struct.pack("<HHHHB", 0, 0, 16, 16, 0) + b"\x02" + bytes([len(data)]) + data
    return gif_header(16, 16) + GIF_FRAME + empty_extension + frame + b"\0;"


def cmyk() -> bytes:
    """A JPEG for print: CMYK, which Pillow writes as Adobe does."""
    return encoded(a_picture().convert("CMYK"), "JPEG", quality=95)


def ycck() -> bytes:
    """A JPEG that says its four components are YCCK."""
    plain = cmyk()
    adobe = plain.index(b"Adobe")
    transform = adobe + len(b"Adobe") + 6
    return plain[:transform] + b"\x02" + plain[transform + 1 :]


def half_transparent() -> bytes:
    """A PNG whose left half is black and fully transparent, the right half green."""
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 128, 0, 255), (32, 0, 64, 64))
    return a_png(image)


def palette_with_transparency() -> bytes:
    """A PNG with a palette of red, transparent blue and half-transparent black, in stripes."""
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 255, 0, 0, 0]))
    alpha = chunk(b"tRNS", bytes([255, 0, 128]))
    return png_of_rows([bytes(16) + b"\1" * 16 + b"\2" * 16] * 48, 48, 8, PALETTE, palette + alpha)


def grey_of_16_bits(value: int = 0x8000) -> bytes:
    """A PNG of one 16-bit grey."""
    return png_of_rows([struct.pack(">H", value) * 32] * 32, 32, 16, GREY)


def colour_of_16_bits() -> bytes:
    """A PNG of one 16-bit colour, with alpha."""
    return png_of_rows([struct.pack(">4H", 0x4000, 0x8000, 0xC000, 0xFFFF) * 32] * 32, 32, 16, 6)


def bad_checksum() -> bytes:
    """A PNG of which one bit of the pixels has tipped over."""
    damaged = bytearray(a_png())
    damaged[damaged.index(b"IDAT") + 20] ^= 1
    return bytes(damaged)


def text_bomb() -> bytes:
    """A PNG of 8 KB whose compressed text is 8 MB long."""
    return png_with(chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(8 * 2**20))))


def international_text_bomb() -> bytes:
    """The same as text in Unicode."""
    inflated = zlib.compress(bytes(8 * 2**20))
    return png_with(chunk(b"iTXt", b"Comment\0\1\0en\0Comment\0" + inflated))


def huge_text() -> bytes:
    """A PNG with 5 MB of plain text."""
    return png_with(chunk(b"tEXt", b"Comment\0" + b"x" * (5 * 2**20)))


def corrupt_profile() -> bytes:
    """A JPEG with a colour profile that is none."""
    return a_jpeg(icc_profile=b"\xff" * 500)


def polyglot() -> bytes:
    """A JPEG that is a zip archive too, by what follows it."""
    end_of_archive = b"PK\x05\x06" + bytes(18)
    return a_jpeg() + b"PK\x03\x04" + b"hidden" * 100 + end_of_archive


def iso_media(brand: bytes) -> bytes:
    """The beginning of a HEIF or AVIF file, and then rubbish."""
    return struct.pack(">I", 24) + b"ftyp" + brand + bytes(4) + b"mif1" + brand + b"\xee" * 200


def webp_of_lying_size() -> bytes:
    """A WebP that promises more bytes than there are."""
    whole = a_webp()
    return whole[:4] + struct.pack("<I", len(whole) + 1000) + whole[8:]


def jpeg_with(segment: bytes) -> bytes:
    """An ordinary JPEG with a segment put in before its frame header."""
    whole = a_jpeg()
    frame = whole.index(b"\xff\xc0")
    return whole[:frame] + segment + whole[frame:]


def webp_chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a WebP."""
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def webp_of(*chunks: bytes) -> bytes:
    """A WebP of these chunks."""
    body = b"WEBP" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_of_frames_without_a_flag() -> bytes:
    """A WebP that says it is a still picture, with an animation's frames in it."""
    canvas = struct.pack("<B3x", 0) + (63).to_bytes(3, "little") * 2
    return webp_of(webp_chunk(b"VP8X", canvas), webp_chunk(b"ANMF", bytes(40)))


def webp_of_odd_length() -> bytes:
    """A WebP whose picture has an odd number of bytes, so that a byte fills the gap after it."""
    whole = a_webp()
    picture = whole[20:].rstrip(b"\0") + b"\0"
    picture += b"\0" * (len(picture) % 2 == 0)
    return webp_of(webp_chunk(b"VP8L", picture), webp_chunk(b"XMP ", b"<x/>"))


def blotches(seed: int) -> bytes:
    """A small JPEG of soft random colours; each seed's is another."""
    tiles = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return encoded(Image.fromarray(tiles).resize((64, 64), Image.Resampling.BICUBIC), "JPEG")
