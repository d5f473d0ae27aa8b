"""Images a second through the encoder alone: batch sizes, threads, and the machine's own limit.

    python -m benchmarks.encoder [--encoder starter BUNDLE ...] [--batches 1 4 8 16] [--torch]

The limit is a matrix product of a size that fits the caches, measured in the same
rounds: no graph made of products can do better. With `--torch`, CLIP ViT-B/32 as
transformers runs it, with random weights, is measured beside (torch and
transformers must be installed); hold a bundle of that model against it.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from moderation.adapters.encoders.devices import Tuning
from moderation.adapters.encoders.registry import load_encoder

GEMM = 1024
GFLOP = 1e9
EAGER = "torch eager ViT-B/32"


def main() -> None:
    """Measure every bundle at every batch size and number of threads, in turns."""
    cores = len(os.sched_getaffinity(0))
    flags = parser(__doc__)
    flags.add_argument("--encoder", nargs="+", default=["starter"], help="bundles")
    flags.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    flags.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}))
    flags.add_argument("--seconds", type=float, default=0.5, help="a variant and round")
    flags.add_argument("--torch", action="store_true", help=f"measure {EAGER} too")
    arguments = flags.parse_args()
    variants = variants_of(arguments)
    values = interleaved(variants, arguments.rounds)
    limit = interleaved(
        {"fp32 product": partial(product_gflops, arguments.seconds)}, arguments.rounds
    )
    rows = [
        Row(name, "images/s", speeds, baseline_of(name, list(values)))
        for name, speeds in values.items()
    ]
    rows += [Row(name, "GFLOP/s", speeds) for name, speeds in limit.items()]
    report("encoder", rows, arguments, batches=arguments.batches, threads=arguments.threads)


def variants_of(arguments: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Images a second of each variant; the eager model's, where it is, come first."""
    variants: dict[str, Callable[[], float]] = {}
    if arguments.torch:
        for batch in arguments.batches:
            run = torch_eager(batch)
            variants[f"{EAGER}, batch {batch}"] = partial(
                images_per_s, run, batch, arguments.seconds
            )
    for name in arguments.encoder:
        for threads in arguments.threads:
            run_batch = encoder_of(name, threads)
            for batch in arguments.batches:
                variants[f"{name}, {threads} threads, batch {batch}"] = partial(
                    images_per_s, partial(run_batch, batch), batch, arguments.seconds
                )
    return variants


def baseline_of(name: str, names: Sequence[str]) -> str:
    """The first variant with the same batch size; nothing for itself."""
    batch = name.rpartition(",")[2]
    first = next(other for other in names if other.rpartition(",")[2] == batch)
    return "" if first == name else first


def images_per_s(run: Callable[[], object], batch: int, seconds: float) -> float:
    """How many images a second runs of this batch make."""
    return batch / seconds_per_call(run, for_s=seconds)


def encoder_of(name: str, threads: int) -> Callable[[int], object]:
    """Runs a bundle's image graph on a batch of so many."""
    encoder = load_encoder(
        name, device="cpu", tuning=Tuning(threads=threads), allow_unverified=True
    )
    size = encoder.info.pixels.size_px
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (64, size, size, 3), dtype=np.uint8)
    return lambda batch: encoder.encode_images(pixels[:batch])


def torch_eager(batch: int) -> Callable[[], object]:
    """Runs CLIP ViT-B/32 with random weights, as its own library does."""
    import torch  # noqa: PLC0415 - it need not be installed
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # noqa: PLC0415

    model = CLIPVisionModelWithProjection(CLIPVisionConfig()).eval()
    pixels = torch.rand(batch, 3, 224, 224)

    def run() -> object:
        with torch.inference_mode():
            return model(pixel_values=pixels).image_embeds

    return run


def product_gflops(seconds: float) -> float:
    """What the machine reaches in the product of two fp32 matrices, on every core."""
    random = np.random.default_rng(2)
    left, right = (random.random((GEMM, GEMM), dtype=np.float32) for _ in range(2))
    return 2 * GEMM**3 / seconds_per_call(lambda: left @ right, for_s=seconds) / GFLOP


if __name__ == "__main__":
    main()
