"""Tells formats by their first bytes; names and media types are never asked."""

import re
from collections.abc import Callable

from moderation.adapters.images.gif import SIGNATURES, survey_gif
from moderation.adapters.images.jpeg import survey_jpeg
from moderation.adapters.images.png import SIGNATURE, survey_png
from moderation.adapters.images.survey import Format, Survey
from moderation.adapters.images.webp import survey_webp
from moderation.core.errors import FailureCode, UnjudgeableContent

Surveyor = Callable[[bytes], Survey]

ALLOWED: tuple[tuple[re.Pattern[bytes], Surveyor], ...] = (
    (re.compile(rb"\xff\xd8\xff"), survey_jpeg),
    (re.compile(re.escape(SIGNATURE)), survey_png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), survey_webp),
    (re.compile(b"|".join(SIGNATURES)), survey_gif),
)

REFUSED: tuple[tuple[str, re.Pattern[bytes]], ...] = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("TIFF or a raw format built on it", rb"II[*+]\0|MM\0[*+]|IIU\0|IIRO|FUJIFILMCCD"),
        ("JPEG XR", rb"II\xbc"),
        ("HEIF, AVIF or a film", rb"....ftyp"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL "),
        ("JPEG 2000", rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51"),
        ("BMP", rb"BM.{12}[\x0c\x28\x38\x40\x6c\x7c]\0\0\0"),
        ("ICO or CUR", rb"\0\0[\x01\x02]\0[^\0]\0"),
        ("ICNS", rb"icns"),
        ("PSD", rb"8BPS"),
        ("EPS or PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"),
        ("PDF", rb"%PDF-"),
        ("SVG", rb"(?:\xef\xbb\xbf)?\s{0,64}<(?:svg\b|!DOCTYPE svg\b|\?xml.{0,900}<svg\b)"),
        ("DDS", rb"DDS "),
        ("MNG or JNG", rb"\x8aMNG|\x8bJNG"),
        ("QOI", rb"qoif"),
        ("a Netpbm format", rb"P[1-7fF]\s"),
        ("FITS", rb"SIMPLE  ="),
        ("OpenEXR", rb"v/1\x01"),
        ("Radiance HDR", rb"#\?RADIANCE"),
        ("XPM", rb"/\* XPM \*/"),
        ("XBM", rb"#define \w{1,64}_width "),
        ("PCX", rb"\x0a[\0\x02-\x05]\x01[\x01\x02\x04\x08]"),
        ("SGI", rb"\x01\xda[\0\x01][\x01\x02]"),
        ("Sun raster", rb"\x59\xa6\x6a\x95"),
        ("WMF or EMF", rb"\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"),
        ("Matroska or WebM", rb"\x1a\x45\xdf\xa3"),
        ("AVI", rb"RIFF....AVI "),
    )
)


def survey_image(data: bytes) -> Survey:
    """Survey a file of an allowed format; raises UnjudgeableContent on any other."""
    for signature, survey in ALLOWED:
        if signature.match(data):
            return survey(data)
    allowed = ", ".join(Format)
    for name, signature in REFUSED:
        if signature.match(data):
            raise UnjudgeableContent(
                FailureCode.FORMAT_NOT_ALLOWED, f"this is {name}; send one of {allowed}"
            )
    raise UnjudgeableContent(
        FailureCode.NOT_AN_IMAGE, f"the bytes are no image that is known here; send {allowed}"
    )
