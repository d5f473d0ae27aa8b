"""Images a second through the encoder alone: batch sizes, threads, and the machine's own limit.

    python -m benchmarks.encoder [--encoder starter BUNDLE ...] [--batches 1 4 8 16] [--torch]

The limits are matrix products of a size that fits the caches, fp32 and int8, measured in
the same rounds: no graph made of products can do better. With `--gflop 8.82` (CLIP
ViT-B/32) each variant is also shown as GFLOP/s, against the fp32 product. With
`--openvino`, the same graphs run by OpenVINO are measured beside, with `--openvino-graph` its own
int8 (see `benchmarks.openvino_int8`). With `--torch`, CLIP ViT-B/32 as
transformers runs it, with random weights, is measured beside (torch and
transformers must be installed); hold a bundle of that model against it.
"""

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.measuring import session
from benchmarks.rounds import Row, interleaved, parser, report, seconds_per_call
from benchmarks.vit_graphs import write_int8_product
from moderation.adapters.encoders.devices import Tuning
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.registry import find_bundle, load_encoder
from moderation.core.errors import ModerationError

GEMM = 1024
GFLOP = 1e9
FP32_LIMIT, INT8_LIMIT = "fp32 product", "int8 product"
EAGER = "torch eager ViT-B/32"
OPENVINO_INT8 = "OpenVINO's own int8"


def main() -> None:
    """Measure every bundle at every batch size and number of threads, in turns."""
    cores = len(os.sched_getaffinity(0))
    flags = parser(__doc__)
    flags.add_argument("--encoder", nargs="+", default=["starter"], help="bundles")
    flags.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16])
    flags.add_argument("--threads", type=int, nargs="+", default=sorted({1, cores}))
    flags.add_argument("--seconds", type=float, default=0.5, help="a variant and round")
    flags.add_argument("--gflop", type=float, default=0.0, help="of one image")
    flags.add_argument("--openvino", action="store_true", help="run the graphs by OpenVINO too")
    flags.add_argument("--openvino-graph", type=Path, help="by benchmarks.openvino_int8")
    flags.add_argument("--torch", action="store_true", help=f"measure {EAGER} too")
    arguments = flags.parse_args()
    try:
        variants = variants_of(arguments)
    except (ImportError, ModerationError) as error:
        flags.error(str(error))
    names = list(variants)
    variants[FP32_LIMIT] = partial(product_gflops, arguments.seconds)
    variants[INT8_LIMIT] = int8_product(arguments.seconds)
    values = interleaved(variants, arguments.rounds)
    rows = [Row(name, "images/s", values[name], baseline_of(name, names)) for name in names]
    rows += [Row(name, "GFLOP/s", values[name]) for name in (FP32_LIMIT, INT8_LIMIT)]
    if arguments.gflop:
        rows += [
            Row(
                f"{name}, share of {limit}",
                "GFLOP/s",
                tuple(arguments.gflop * one for one in values[name]),
                limit,
            )
            for name in names
            for limit in (FP32_LIMIT, INT8_LIMIT)
        ]
    report("encoder", rows, arguments, batches=arguments.batches, threads=arguments.threads)


def variants_of(arguments: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Images a second of each variant; the eager model's, where it is, come first."""
    return {
        f"{name}, batch {batch}": partial(
            images_per_s, partial(run, batch), batch, arguments.seconds
        )
        for name, run in runs_of(arguments)
        for batch in arguments.batches
    }


def runs_of(arguments: argparse.Namespace) -> Iterator[tuple[str, Callable[[int], object]]]:
    """What runs a batch of so many, by name."""
    if arguments.torch:
        yield EAGER, torch_eager()
    for name in arguments.encoder:
        for threads in arguments.threads:
            yield f"{Path(name).name}, {threads} threads", encoder_of(name, threads)
        if arguments.openvino:
            directory = find_bundle(name, device="cpu")
            graph = directory / Manifest.load(directory).image.file
            yield f"{Path(name).name} by OpenVINO", by_openvino(graph)
    if arguments.openvino_graph:
        yield OPENVINO_INT8, by_openvino(arguments.openvino_graph)


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


def by_openvino(graph: Path) -> Callable[[int], object]:
    """Runs an image graph by OpenVINO, which must be installed, on every core."""
    import openvino  # noqa: PLC0415 - it need not be installed

    compiled = openvino.Core().compile_model(str(graph), "CPU", {"PERFORMANCE_HINT": "LATENCY"})
    size = compiled.input(0).partial_shape[1].get_length()
    pixels = np.random.default_rng(1).integers(0, 256, (64, size, size, 3), dtype=np.uint8)
    return lambda batch: compiled(pixels[:batch])


def torch_eager() -> Callable[[int], object]:
    """Runs CLIP ViT-B/32 with random weights, as its own library does."""
    import torch  # noqa: PLC0415 - it need not be installed
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection  # noqa: PLC0415

    model = CLIPVisionModelWithProjection(CLIPVisionConfig()).eval()
    pixels = torch.rand(64, 3, 224, 224)

    def run(batch: int) -> object:
        with torch.inference_mode():
            return model(pixel_values=pixels[:batch]).image_embeds

    return run


def int8_product(seconds: float) -> Callable[[], float]:
    """What onnxruntime reaches in the product of a uint8 and an int8 matrix, on every core."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "product.onnx"
        output = write_int8_product(GEMM, path)
        run = session(path, "cpu")
    rows = np.random.default_rng(4).integers(0, 256, (GEMM, GEMM), dtype=np.uint8)

    def gflops() -> float:
        once_s = seconds_per_call(lambda: run.run([output], {"rows": rows}), for_s=seconds)
        return 2 * GEMM**3 / once_s / GFLOP

    return gflops


def product_gflops(seconds: float) -> float:
    """What the machine reaches in the product of two fp32 matrices, on every core."""
    random = np.random.default_rng(2)
    left, right = (random.random((GEMM, GEMM), dtype=np.float32) for _ in range(2))
    return 2 * GEMM**3 / seconds_per_call(lambda: left @ right, for_s=seconds) / GFLOP


if __name__ == "__main__":
    main()
