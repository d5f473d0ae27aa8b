"""Pixels made in the obvious way, as reference preprocessors do: the baseline of our decoder."""

from io import BytesIO

import numpy as np
from PIL import Image

from moderation.core.content import Crop, Interpolation, Pixels, PixelSpec

FILTERS = {
    Interpolation.BILINEAR: Image.Resampling.BILINEAR,
    Interpolation.BICUBIC: Image.Resampling.BICUBIC,
}


def full_size_pixels(image: bytes, spec: PixelSpec) -> Pixels:
    """uint8[1, size, size, 3], as reference preprocessors do it: decode all, resize all, cut."""
    with Image.open(BytesIO(image)) as opened:
        whole = opened.convert("RGB")
    if spec.crop is Crop.SQUASH:
        resized = whole.resize((spec.size_px, spec.size_px), FILTERS[spec.interpolation])
        return np.asarray(resized)[np.newaxis]
    shorter = round(spec.size_px / spec.crop_fraction)
    scale = shorter / min(whole.size)
    size = (max(shorter, round(whole.width * scale)), max(shorter, round(whole.height * scale)))
    resized = whole.resize(size, FILTERS[spec.interpolation])
    left, top = (size[0] - spec.size_px) // 2, (size[1] - spec.size_px) // 2
    square = resized.crop((left, top, left + spec.size_px, top + spec.size_px))
    return np.asarray(square)[np.newaxis]
