"""The short cuts of our decoder move embeddings of real pictures by next to nothing."""

from pathlib import Path

import numpy as np

from benchmarks.whole_picture import full_size_pixels
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder

ROOT = Path(__file__).parents[2]
TURNED = "moose-turned.jpg"
"""By EXIF, which the obvious way overlooks."""


def test_photographs_keep_their_embeddings_when_only_what_is_needed_is_decoded() -> None:
    encoder = load_encoder("starter", device="cpu")
    decoder = PillowDecoder(encoder.info.pixels, DecodeLimits())
    pictures = [
        one.read_bytes() for one in sorted((ROOT / "samples").glob("*.jpg")) if one.name != TURNED
    ]

    cosines = [
        float(
            np.vdot(
                encoder.encode_images(decoder.decode(picture)[:1]),
                encoder.encode_images(full_size_pixels(picture, encoder.info.pixels)),
            )
        )
        for picture in pictures
    ]

    print(  # noqa: T201 - the figures are the result
        f"{len(cosines)} pictures: median {np.median(cosines):.5f}, least {min(cosines):.5f}"
    )
    assert np.median(cosines) > 0.999
    assert min(cosines) > 0.98
