"""Surveys a JPEG: its size, its scans, its orientation."""

import re
import struct

from moderation.adapters.images.exif import UPRIGHT, orientation_of
from moderation.adapters.images.survey import Cursor, Format, Survey, corrupt

MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]", re.DOTALL)
"""A marker with something to say: no stuffed zero, fill byte or restart. The pattern has no
repetition, so that no run of bytes makes the search quadratic."""

START, END, SCAN = 0xD8, 0xD9, 0xDA
FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
EXIF_SEGMENT = 0xE1
UNNEEDED = frozenset(range(0xE1, 0xF0)) - {0xEE} | {0xFE}
"""Application segments and comments. Two of the former say how colours are stored: JFIF's 0
and Adobe's 14. The others hold EXIF, ICC profiles, further pictures: Pillow need not parse them."""

LENGTH = struct.Struct(">H")
FRAME_HEADER = struct.Struct(">BHHB")
SCAN_HEADER = struct.Struct(">B")


def survey_jpeg(data: bytes) -> Survey:
    """Read the header, and count the scans if there can be several; raises UnjudgeableContent."""
    cursor = Cursor(data, Format.JPEG)
    kept = bytearray(cursor.take(2))
    frame: tuple[int, ...] = ()
    progressive = False
    orientation = UPRIGHT
    while (marker := _next_marker(cursor)) != SCAN:
        start, segment = cursor.position - 2, _segment(cursor)
        if marker in FRAME_HEADERS:
            if frame:
                raise corrupt(Format.JPEG, "it has two frame headers")
            frame, progressive = _unpack(FRAME_HEADER, segment), marker in PROGRESSIVE
        if marker == EXIF_SEGMENT and orientation == UPRIGHT:
            orientation = orientation_of(segment)
        if marker not in UNNEEDED:
            kept += memoryview(data)[start : cursor.position]
    if not frame:
        raise corrupt(Format.JPEG, "it has no frame header before its first scan")
    kept += memoryview(data)[cursor.position - 2 :]
    (components_in_scan,) = _unpack(SCAN_HEADER, _segment(cursor))
    _, height, width, components = frame
    has_more_scans = progressive or components_in_scan < components
    first_scan_at = cursor.position
    return Survey(
        format=Format.JPEG,
        width=width,
        height=height,
        encoded=bytes(kept),
        scans=1 + (_count_scans(cursor) if has_more_scans else 0),
        orientation=orientation,
        is_complete=data.rfind(bytes((0xFF, END)), first_scan_at) >= 0,
    )


def _next_marker(cursor: Cursor) -> int:
    cursor.count_blocks()
    found = MARKER.search(cursor.data, cursor.position)
    cursor.skip(found.end() - cursor.position if found else len(cursor.data))
    marker = cursor.data[cursor.position - 1]
    if marker in {START, END}:
        raise corrupt(Format.JPEG, "it has no scan")
    return marker


def _segment(cursor: Cursor) -> bytes:
    (length,) = cursor.unpack(LENGTH)
    if length < LENGTH.size:
        raise corrupt(Format.JPEG, "a segment is shorter than its own length")
    return cursor.take(length - LENGTH.size)


def _unpack(layout: struct.Struct, segment: bytes) -> tuple[int, ...]:
    if len(segment) < layout.size:
        raise corrupt(Format.JPEG, "a header is too short")
    return layout.unpack_from(segment)


def _count_scans(cursor: Cursor) -> int:
    """Scans from here to the end marker, or to where the file ends.

    Segments between scans are jumped over whole: an end marker hidden in one would
    otherwise hide the scans behind it, which libjpeg decodes all the same.
    """
    scans = 0
    while found := MARKER.search(cursor.data, cursor.position):
        cursor.count_blocks()
        cursor.position = found.end()
        marker = cursor.data[cursor.position - 1]
        if marker == END:
            break
        scans += marker == SCAN
        _segment(cursor)
    return scans
