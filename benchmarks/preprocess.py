"""From a file to pixels on one thread, ours against decoding and resizing the whole picture.

    python -m benchmarks.preprocess [--rounds 5] [--seconds 0.3] [--encoder BUNDLE]

Parity is the cosine between the embeddings of both results, by the encoder itself.
With transformers and torch installed, CLIPImageProcessor is measured too.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.pictures import KINDS, picture
from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from benchmarks.whole_picture import full_size_pixels
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.core.content import PixelSpec

OURS = "ours"
WHOLE = "whole picture"
PROCESSOR = "CLIPImageProcessor"


def main() -> None:
    """Measure every kind of picture by every method."""
    flags = parser(__doc__)
    flags.add_argument("--seconds", type=float, default=0.3, help="a method, kind and round")
    flags.add_argument("--encoder", default="starter", help="name or directory of a bundle")
    arguments = flags.parse_args()
    encoder = load_encoder(arguments.encoder, device="cpu", allow_unverified=True)
    spec = encoder.info.pixels
    decoder = PillowDecoder(spec, DecodeLimits())
    rows: list[Row] = []
    for kind in KINDS:
        image = picture(kind)
        methods: dict[str, Callable[[], Any]] = {
            WHOLE: partial(full_size_pixels, image, spec),
            OURS: partial(decoder.decode, image),
        }
        if processor := _clip_processor(spec):
            methods[PROCESSOR] = partial(processor, image)
        parity = np.vdot(
            encoder.encode_images(decoder.decode(image)),
            encoder.encode_images(full_size_pixels(image, spec)),
        )
        measures = {
            name: partial(images_per_s, work, arguments.seconds) for name, work in methods.items()
        }
        speed_by_method = interleaved(measures, arguments.rounds)
        for name, speeds in speed_by_method.items():
            held = f"{kind}: {WHOLE}" if name != WHOLE else ""
            note = f"cosine {parity:.5f}" if name == OURS else ""
            rows.append(Row(f"{kind}: {name}", "images/s", speeds, held, note=note))
    report(f"preprocess, one thread, to {spec.size_px} px", rows, arguments)


def images_per_s(work: Callable[[], object], seconds: float) -> float:
    """How many pictures a second one thread turns into pixels."""
    return 1 / seconds_per_call(work, for_s=seconds)


def _clip_processor(spec: PixelSpec) -> Callable[[bytes], object] | None:
    try:
        from transformers import CLIPImageProcessor  # noqa: PLC0415 - it need not be installed
    except ImportError:
        return None
    size = {"shortest_edge": round(spec.size_px / spec.crop_fraction)}
    crop = {"height": spec.size_px, "width": spec.size_px}
    processor = CLIPImageProcessor(size=size, crop_size=crop)

    def process(image: bytes) -> object:
        with Image.open(BytesIO(image)) as opened:
            return processor(images=opened, return_tensors="np")

    return process


if __name__ == "__main__":
    main()
