"""What a file says of itself before anything is decoded, and how such facts are read safely."""

import struct
from dataclasses import dataclass, field
from enum import StrEnum

from moderation.core.errors import FailureCode, UnjudgeableContent

BLOCKS_ALWAYS_ALLOWED = 50_000
BYTES_PER_FURTHER_BLOCK = 1024
"""Encoders write blocks of kilobytes. A file of empty ones costs a step in Python for every
few bytes, here and again in Pillow."""


class Format(StrEnum):
    """The formats that are decoded; every other one is refused."""

    JPEG = "JPEG"
    PNG = "PNG"
    WEBP = "WebP"
    GIF = "GIF"


@dataclass(frozen=True, slots=True)
class Survey:
    """The facts on which the limits rule, and the bytes that Pillow gets to read."""

    format: Format
    width: int
    height: int
    encoded: bytes = field(repr=False)
    """The file without what no pixel depends on, and without what follows its end."""
    frames: int = 1
    scans: int = 1
    orientation: int = 1
    """As EXIF counts it, 1 to 8."""
    is_complete: bool = True


def corrupt(image_format: Format, problem: str) -> UnjudgeableContent:
    """The error for a file that contradicts itself or its format."""
    return UnjudgeableContent(FailureCode.CORRUPT, f"the {image_format} is damaged: {problem}")


def truncated(image_format: Format) -> UnjudgeableContent:
    """The error for a file that ends before it should."""
    return UnjudgeableContent(
        FailureCode.TRUNCATED, f"the {image_format} ends early; it was not sent or stored whole"
    )


class Cursor:
    """Reads forward through a file, never past its end and never in too many steps."""

    __slots__ = ("_blocks_left", "_format", "data", "position")

    def __init__(
        self,
        data: bytes,
        image_format: Format,
        bytes_per_further_block: int = BYTES_PER_FURTHER_BLOCK,
    ) -> None:
        self.data = data
        self.position = 0
        self._format = image_format
        self._blocks_left = BLOCKS_ALWAYS_ALLOWED + len(data) // bytes_per_further_block

    @property
    def at_end(self) -> bool:
        """Whether everything has been read."""
        return self.position >= len(self.data)

    def take(self, size: int) -> bytes:
        """The next bytes; raises UnjudgeableContent if there are fewer."""
        start = self.position
        self.skip(size)
        return self.data[start : self.position]

    def peek(self, size: int) -> bytes:
        """The next bytes as far as there are any; they stay the next."""
        return self.data[self.position : self.position + size]

    def skip(self, size: int) -> None:
        """Pass over the next bytes; raises UnjudgeableContent if there are fewer."""
        self.position += size
        if self.position > len(self.data):
            raise truncated(self._format)

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        """The next numbers, laid out like this."""
        return layout.unpack(self.take(layout.size))

    def count_blocks(self, blocks: int = 1) -> None:
        """Account for steps taken; raises UnjudgeableContent when the file has too many."""
        self._blocks_left -= blocks
        if self._blocks_left < 0:
            raise UnjudgeableContent(
                FailureCode.TOO_COSTLY,
                f"the {self._format} is cut into far more pieces than any encoder writes",
            )

    def skip_sub_blocks(self) -> None:
        """Pass over GIF data: pieces led by their length, ended by an empty one."""
        data, position = self.data, self.position
        try:
            for blocks in range(self._blocks_left + 1):
                size = data[position]
                position += size + 1
                if not size:
                    self.position = position
                    self._blocks_left -= blocks
                    return
        except IndexError as error:
            raise truncated(self._format) from error
        self.count_blocks(self._blocks_left + 1)
