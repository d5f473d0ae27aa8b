"""The pictures and texts on which a bundle is compared with the model that it was made from.

Drawn, not photographed: any number of them costs nothing, and the same come out everywhere.
`moderation bundle verify --images` takes photographs besides.
"""

import io

import numpy as np
from PIL import Image, ImageDraw

SEED = 20260101
SIZES = (
    (224, 224),
    (640, 480),
    (333, 517),
    (1280, 960),
    (97, 61),
    (500, 200),
    (800, 801),
    (256, 1000),
)
FORMATS = ("JPEG", "PNG")
SHAPES = 24

SUBJECTS = (
    "a cat",
    "two dogs",
    "a person holding a gun",
    "a kitchen knife",
    "a bottle of wine",
    "a lit cigarette",
    "playing cards and chips",
    "a house on fire",
    "a beach at sunset",
    "a bikini",
    "a snake",
    "a tank",
    "a screenshot of a chat",
    "a street at night",
    "a bowl of fruit",
    "a drawing of a horse",
)
TEMPLATES = ("a photo of {}.", "{}", "a blurry picture of {}")
ODD_TEXTS = (
    "",
    " ",
    "A PHOTO, in CAPITALS!",
    "l'été à Zürich, straße",
    "東京タワーの写真",
    "картина маслом",
    "🔫 🔥 👩‍👩‍👧",
    "tab\tand\nnewline",
    "\ufb01ne \u00bd \uff46\uff55\uff4c\uff4c",
    "a very long description of " + "many things in one picture " * 40,
)
TEXTS = (*(one.format(subject) for one in TEMPLATES for subject in SUBJECTS), *ODD_TEXTS)


def probe_pictures() -> list[bytes]:
    """Encoded pictures of many sizes and shapes, half of them JPEG."""
    random = np.random.default_rng(SEED)
    return [
        _encoded(_drawing(random, size), FORMATS[number % len(FORMATS)])
        for number, size in enumerate(SIZES * len(FORMATS))
    ]


def _drawing(random: np.random.Generator, size: tuple[int, int]) -> Image.Image:
    """Soft colours behind, sharp shapes before: something for every frequency."""
    coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    picture = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for _ in range(SHAPES):
        left, right = sorted(random.integers(0, size[0], 2).tolist())
        top, bottom = sorted(random.integers(0, size[1], 2).tolist())
        colour = tuple(random.integers(0, 256, 3).tolist())
        shape = draw.ellipse if random.random() < 0.5 else draw.rectangle
        shape((left, top, (left + right) // 2 + 1, (top + bottom) // 2 + 1), fill=colour)
    return picture


def _encoded(picture: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, quality=90)
    return buffer.getvalue()
