"""The pictures that a decoder has to answer, by name: what it must decode, what it must refuse.

A test of anything that takes images can be parametrised over them. Each is built in
milliseconds, when it is asked for.
"""

from collections.abc import Callable, Mapping
from functools import partial

from PIL import Image

from moderation.core.errors import FailureCode
from tests.picture_builders import (
    PNG_SIGNATURE,
    TURNED_AWAY,
    a_gif,
    a_jpeg,
    a_picture,
    a_png,
    a_webp,
    animated,
    bad_checksum,
    chunk,
    cmyk,
    colour_of_16_bits,
    corrupt_profile,
    encoded,
    gif_beyond_its_canvas,
    gif_header,
    gif_of_dots,
    gif_with_hidden_frame,
    grey_of_16_bits,
    half_transparent,
    huge_text,
    international_text_bomb,
    iso_media,
    jpeg_with,
    palette_with_transparency,
    png_bomb,
    png_header,
    png_with,
    polyglot,
    progressive_jpeg_with_scans,
    some_frames,
    text_bomb,
    turned,
    webp_chunk,
    webp_of,
    webp_of_frames_without_a_flag,
    webp_of_lying_size,
    webp_of_odd_length,
    ycck,
)

Builder = Callable[[], bytes]

JUDGEABLE: Mapping[str, Builder] = {
    "jpeg": a_jpeg,
    "progressive jpeg": lambda: a_jpeg(progressive=True),
    "grey jpeg": lambda: encoded(a_picture().convert("L"), "JPEG"),
    "cmyk jpeg": cmyk,
    "ycck jpeg": ycck,
    "png": a_png,
    "png of one bit": lambda: a_png(a_picture().convert("1")),
    "png with alpha": half_transparent,
    "png with grey and alpha": lambda: a_png(a_picture().convert("LA")),
    "png with a palette and transparency": palette_with_transparency,
    "png of 16-bit grey": grey_of_16_bits,
    "png of 16-bit colours": colour_of_16_bits,
    "webp": a_webp,
    "lossy webp": lambda: a_webp(lossless=False),
    "webp of odd length": webp_of_odd_length,
    "gif": a_gif,
    "animated gif": lambda: animated("GIF", some_frames(5)),
    "animated png": lambda: animated("PNG", some_frames(5)),
    "animated webp": lambda: animated("WEBP", some_frames(5)),
    "gif without an end": lambda: a_gif()[:-1],
    "corrupt colour profile in a jpeg": corrupt_profile,
    "corrupt colour profile in a png": lambda: png_with(chunk(b"iCCP", b"x\0\0" + b"\xff" * 99)),
    "corrupt exif": lambda: a_jpeg(exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"),
    "jpeg that is a zip too": polyglot,
    "png with trailing bytes": lambda: a_png() + b"\0" * 1000,
    "largest aspect ratio": lambda: a_png(Image.new("RGB", (800, 8))),
    **{f"orientation {number}": partial(turned, number) for number in TURNED_AWAY},
}
"""Pictures that must be decoded."""

UNJUDGEABLE: Mapping[str, tuple[Builder, FailureCode]] = {
    "one byte": (lambda: b"\xff", FailureCode.NOT_AN_IMAGE),
    "text": (lambda: b"not an image at all", FailureCode.NOT_AN_IMAGE),
    "html": (lambda: b"<!DOCTYPE html><html><body></body></html>", FailureCode.NOT_AN_IMAGE),
    "zip": (lambda: b"PK\x03\x04" + bytes(100), FailureCode.NOT_AN_IMAGE),
    "start of a jpeg": (lambda: b"\xff\xd8\xff", FailureCode.TRUNCATED),
    "truncated jpeg": (lambda: a_jpeg()[:-200], FailureCode.TRUNCATED),
    "truncated progressive jpeg": (
        lambda: a_jpeg(progressive=True)[:-200],
        FailureCode.TRUNCATED,
    ),
    "truncated png": (lambda: a_png()[:-20], FailureCode.TRUNCATED),
    "truncated webp": (lambda: a_webp()[:-20], FailureCode.TRUNCATED),
    "webp of lying size": (webp_of_lying_size, FailureCode.TRUNCATED),
    "truncated gif": (lambda: a_gif()[:-20], FailureCode.TRUNCATED),
    "bad checksum": (bad_checksum, FailureCode.CORRUPT),
    "png without pixels": (lambda: png_header(64, 64) + chunk(b"IEND"), FailureCode.CORRUPT),
    "png of two headers": (lambda: png_with(png_header(9, 9)[8:]), FailureCode.CORRUPT),
    "jpeg without a scan": (lambda: b"\xff\xd8\xff\xd9", FailureCode.CORRUPT),
    "jpeg of two frame headers": (
        lambda: jpeg_with(b"\xff\xc0\0\x0b\x08\0\x40\0\x40\x01\x01\x11\0"),
        FailureCode.CORRUPT,
    ),
    "jpeg of a short frame header": (
        lambda: b"\xff\xd8\xff\xc0\0\x04\0\0",
        FailureCode.CORRUPT,
    ),
    "jpeg without a frame header": (
        lambda: b"\xff\xd8\xff\xda\0\x04\0\0\xff\xd9",
        FailureCode.CORRUPT,
    ),
    "jpeg of an impossible segment": (lambda: jpeg_with(b"\xff\xe5\0\1"), FailureCode.CORRUPT),
    "png that begins with pixels": (
        lambda: PNG_SIGNATURE + chunk(b"IDAT", b"x"),
        FailureCode.CORRUPT,
    ),
    "webp of frames without a flag": (webp_of_frames_without_a_flag, FailureCode.CORRUPT),
    "webp of a false start": (
        lambda: webp_of(webp_chunk(b"VP8 ", bytes(20))),
        FailureCode.CORRUPT,
    ),
    "webp of a false lossless start": (
        lambda: webp_of(webp_chunk(b"VP8L", bytes(20))),
        FailureCode.CORRUPT,
    ),
    "webp of a short header": (lambda: webp_of(webp_chunk(b"VP8L", b"/")), FailureCode.CORRUPT),
    "webp of nothing": (webp_of, FailureCode.CORRUPT),
    "gif without a frame": (lambda: gif_of_dots(0), FailureCode.CORRUPT),
    "png bomb": (png_bomb, FailureCode.TOO_MANY_PIXELS),
    "png bomb of one bit": (lambda: png_bomb(60_000, 40_000, 1), FailureCode.TOO_MANY_PIXELS),
    "claims 2^31 pixels a side": (
        lambda: png_header(2**31 - 1, 2**31 - 1) + chunk(b"IEND"),
        FailureCode.TOO_MANY_PIXELS,
    ),
    "gif with a hidden frame": (gif_with_hidden_frame, FailureCode.CORRUPT),
    "gif with a hidden frame behind its loops": (
        lambda: gif_with_hidden_frame(b"!\xff\x0bNETSCAPE2.0\0"),
        FailureCode.CORRUPT,
    ),
    "gif beyond its canvas": (gif_beyond_its_canvas, FailureCode.TOO_MANY_PIXELS),
    "zero width": (lambda: png_header(0, 64) + chunk(b"IEND"), FailureCode.BAD_DIMENSIONS),
    "zero height": (lambda: png_header(64, 0) + chunk(b"IEND"), FailureCode.BAD_DIMENSIONS),
    "one dot": (lambda: a_png(Image.new("RGB", (1, 1))), FailureCode.BAD_DIMENSIONS),
    "strip": (lambda: a_png(Image.new("RGB", (8, 60_000))), FailureCode.BAD_DIMENSIONS),
    "gif of 10,000 frames": (lambda: gif_of_dots(10_000), FailureCode.TOO_MANY_FRAMES),
    "gif of large frames": (lambda: gif_of_dots(900, 4000, 4000), FailureCode.TOO_COSTLY),
    "gif of empty pieces": (
        lambda: gif_header(16, 16) + b"!\xfe\0" * 60_000,
        FailureCode.TOO_COSTLY,
    ),
    "gif of one-byte pieces": (
        lambda: gif_header(16, 16) + b"!\xfe" + b"\1x" * 60_000,
        FailureCode.TOO_COSTLY,
    ),
    "huge text": (huge_text, FailureCode.TOO_COSTLY),
    "text bomb": (text_bomb, FailureCode.TOO_COSTLY),
    "international text bomb": (international_text_bomb, FailureCode.TOO_COSTLY),
    "jpeg of 2,000 scans": (
        lambda: progressive_jpeg_with_scans(2000),
        FailureCode.TOO_COSTLY,
    ),
    "tiff": (lambda: encoded(a_picture(), "TIFF"), FailureCode.FORMAT_NOT_ALLOWED),
    "bmp": (lambda: encoded(a_picture(), "BMP"), FailureCode.FORMAT_NOT_ALLOWED),
    "ico": (lambda: encoded(a_picture(), "ICO"), FailureCode.FORMAT_NOT_ALLOWED),
    "eps": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", FailureCode.FORMAT_NOT_ALLOWED),
    "pdf": (lambda: b"%PDF-1.7\n", FailureCode.FORMAT_NOT_ALLOWED),
    "svg": (lambda: b'<?xml version="1.0"?>\n<svg/>', FailureCode.FORMAT_NOT_ALLOWED),
    "psd": (lambda: b"8BPS\0\1" + bytes(20), FailureCode.FORMAT_NOT_ALLOWED),
    "dds": (lambda: encoded(a_picture(), "DDS"), FailureCode.FORMAT_NOT_ALLOWED),
    "corrupt heif": (lambda: iso_media(b"heic"), FailureCode.FORMAT_NOT_ALLOWED),
    "corrupt avif": (lambda: iso_media(b"avif"), FailureCode.FORMAT_NOT_ALLOWED),
}
"""Bytes that must be refused under the default limits, and why."""
