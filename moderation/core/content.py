"""What is judged: the bytes of one upload, and how an encoder wants its pixels."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from moderation.core.errors import InvalidRequest

Pixels: TypeAlias = NDArray[np.uint8]
"""RGB frames, uint8[frames, height, width, 3]."""

Embedding: TypeAlias = NDArray[np.float32]
"""A unit vector, float32[dim]."""

Embeddings: TypeAlias = NDArray[np.float32]
"""Unit vectors as rows, float32[n, dim]."""

MAX_CONTENT_ID_LENGTH = 256


class Crop(StrEnum):
    """How a picture of any shape becomes a square."""

    CENTER = "center"
    SQUASH = "squash"


class Interpolation(StrEnum):
    """The resampling filter with which the encoder was trained."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


@dataclass(frozen=True, slots=True)
class PixelSpec:
    """How an encoder wants its pixels: a square of `size_px`, cut and resized this way.

    With `Crop.CENTER` the square covers `crop_fraction` of the shorter edge.
    """

    size_px: int
    crop: Crop = Crop.CENTER
    crop_fraction: float = 1.0
    interpolation: Interpolation = Interpolation.BICUBIC

    def __post_init__(self) -> None:
        """Refuse sizes that no picture can have."""
        if self.size_px < 1 or not 0.0 < self.crop_fraction <= 1.0:
            raise ValueError(f"no picture fits {self}")


@dataclass(frozen=True, slots=True)
class Content:
    """One upload: its bytes, never shown or logged, and the caller's name for it."""

    image: bytes = field(repr=False)
    content_id: str

    def __post_init__(self) -> None:
        """Refuse what only the caller can mend: no bytes, or a name that logs cannot carry."""
        if not self.image:
            raise InvalidRequest("content.image", "is empty; send the bytes of an image")
        require_content_id(self.content_id)


@dataclass(frozen=True, slots=True)
class NamedContent:
    """One upload by where its image is (an image URI), and the caller's name for it."""

    uri: str
    content_id: str

    def __post_init__(self) -> None:
        """Refuse a name that logs cannot carry; the URI is for whoever fetches to judge."""
        require_content_id(self.content_id)


def content_digest(image: bytes) -> bytes:
    """The sha256 of a content's bytes; lets other threads run while it reads them."""
    return hashlib.sha256(image).digest()


def require_content_id(content_id: str) -> None:
    """Raise InvalidRequest for a name that logs cannot carry."""
    if problem := _content_id_problem(content_id):
        raise InvalidRequest("content.content_id", problem)


def _content_id_problem(content_id: str) -> str | None:
    if not 1 <= len(content_id) <= MAX_CONTENT_ID_LENGTH:
        return f"has {len(content_id)} characters; 1 to {MAX_CONTENT_ID_LENGTH} are allowed"
    if not content_id.isprintable():  # also false for line separators, bidi marks, zero width
        return "has control or invisible characters; use printable text"
    if ".." in content_id.replace("\\", "/").split("/") or content_id.startswith(("/", "\\")):
        return "looks like a path out of a directory; use a plain identifier"
    return None
