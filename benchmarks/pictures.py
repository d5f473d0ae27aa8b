"""Photographs that nobody took: noise at every scale, which costs a decoder what a photo does."""

import hashlib
import os
import time
from functools import cache
from io import BytesIO
from itertools import count
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZES = {"VGA": (640, 480), "1080p": (1920, 1080), "12 MP": (4000, 3000)}
KINDS = ("VGA", "1080p", "12 MP", "VGA PNG", "VGA WebP")
JPEG_QUALITY = 88
WEBP_QUALITY = 82
COARSEST_CELLS = 5
DECAY = 0.85
"""Of the amplitude at each halving of the size; chosen so that files are as long as photos are."""
KEPT = Path(__file__).parents[1] / "var" / "pictures"
"""Each load is put by a process of its own, which is not to spend minutes on drawing pictures."""
_numbers = count(time.time_ns())
"""Never those of an earlier run: a server still has its embeddings in its cache."""


@cache
def picture(kind: str, seed: int = 0) -> bytes:
    """The file of a picture of this kind; the same seed gives the same picture."""
    drawn_by = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]
    kept = KEPT / f"{kind} {seed} {drawn_by}"
    if kept.exists():
        return kept.read_bytes()
    image = _drawn(kind, seed)
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = kept.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(image)
    unfinished.rename(kept)
    return image


def _drawn(kind: str, seed: int) -> bytes:
    size, _, file_format = kind.rpartition(" ") if kind not in SIZES else (kind, "", "JPEG")
    image = Image.fromarray(_noise(*SIZES[size], seed=seed))
    buffer = BytesIO()
    quality = WEBP_QUALITY if file_format == "WebP" else JPEG_QUALITY
    image.save(buffer, file_format, quality=quality)
    return buffer.getvalue()


def another(image: bytes) -> bytes:
    """The same picture in bytes that no cache has seen: a number stands after its end."""
    return image + b"%020d" % next(_numbers)


def _noise(width: int, height: int, *, seed: int) -> NDArray[np.uint8]:
    """RGB noise that is fainter the finer it is, as in nature."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), dtype=np.float32)
    amplitude, cells = 1.0, COARSEST_CELLS
    while cells < width // 2:
        shape = (max(2, cells * height // width), cells, 3)
        coarse = random.integers(0, 256, shape, dtype=np.uint8)
        layer = Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR)
        total += amplitude * np.asarray(layer, dtype=np.float32)
        amplitude, cells = amplitude * DECAY, cells * 2
    low, high = float(total.min()), float(total.max())
    return ((total - low) * (255 / (high - low))).astype(np.uint8)
