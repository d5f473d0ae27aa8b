"""Finds the orientation in EXIF data, and nothing else: whatever is odd means "upright"."""

import struct
from itertools import islice

UPRIGHT = 1
ORIENTATIONS = range(1, 9)
ORIENTATION_TAG = 0x0112
SHORT = 3
ENTRY_BYTES = 12
MAX_ENTRIES = 1000
BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}


def orientation_of(exif: bytes) -> int:
    """The orientation, 1 to 8, from EXIF data as TIFF, with or without the marker before it."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = BYTE_ORDERS.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        return _orientation_in_directory(tiff, order)
    except struct.error:
        return UPRIGHT


def _orientation_in_directory(tiff: bytes, order: str) -> int:
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    (entries,) = struct.unpack_from(order + "H", tiff, start)
    first = start + 2
    offsets = range(first, first + entries * ENTRY_BYTES, ENTRY_BYTES)
    for offset in islice(offsets, MAX_ENTRIES):
        tag, kind, count, value = struct.unpack_from(order + "HHIH", tiff, offset)
        if (tag, kind, count) == (ORIENTATION_TAG, SHORT, 1) and value in ORIENTATIONS:
            return int(value)
    return UPRIGHT
