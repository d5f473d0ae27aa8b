"""Is this card used well? Parity, throughput, and the limits that both are held against.

    python -m benchmarks.gpu_check --device cuda > gpu.json

Needs numpy, onnx and onnxruntime-gpu, Pillow for the decode limit, and no network.
`--device cpu` runs the same code where there is no card, to see that it works.
`--bundle DIR` adds the image graph of an exported bundle.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.limits import copies, decoding, products
from benchmarks.measuring import PROVIDERS, all_of, bound, per_second, session
from benchmarks.vit_graphs import DTYPES, TOWERS, Tower, write_tower

PARITY_FRAMES = 8


@dataclass(frozen=True)
class Graph:
    """An image graph to be measured."""

    name: str
    precision: str
    path: Path
    output: str
    input: str
    size_px: int
    flops: float | None = None


@dataclass(frozen=True)
class Options:
    """What the command line says."""

    device: str
    batches: list[int]
    seconds: float
    in_flight: int


def main() -> int:
    """Measure, and write one JSON object to standard output."""
    arguments = _arguments()
    options = Options(arguments.device, arguments.batches, arguments.seconds, arguments.in_flight)
    with redirect_stdout(sys.stderr), suppress(AttributeError):
        onnxruntime.preload_dlls()
    with tempfile.TemporaryDirectory() as scratch:
        report: dict[str, Any] = {"machine": _machine(), "device": options.device}
        report["limits"] = {
            "matrix_products_tflops": products(Path(scratch), options.device, options.seconds),
            "host_to_device_gb_s": copies(options.device, options.seconds),
            "decode_images_s": decoding(options.seconds),
        }
        rates = report["limits"]["matrix_products_tflops"]
        graphs = [
            *_towers(arguments.models.split(","), Path(scratch)),
            *map(_of_bundle, arguments.bundle),
        ]
        report["graphs"] = [_measured(graph, rates, options) for graph in graphs]
    print(json.dumps(report, indent=2))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=PROVIDERS, default="cuda")
    parser.add_argument("--models", default="vit-b32,vit-l14")
    parser.add_argument("--bundle", action="append", default=[], type=Path)
    parser.add_argument("--batches", default=[1, 8, 32, 64], type=_numbers)
    parser.add_argument("--seconds", default=2.0, type=float, help="For each measurement.")
    parser.add_argument("--in-flight", default=2, type=int, help="Batches that run at once.")
    return parser.parse_args()


def _numbers(text: str) -> list[int]:
    return [int(one) for one in text.split(",")]


def _towers(names: list[str], scratch: Path) -> Iterator[Graph]:
    for name in filter(None, names):
        tower = TOWERS[name]
        for precision, dtype in DTYPES.items():
            for fused in (False, True):
                yield _tower(name, tower, precision, dtype, scratch, fused=fused)


def _tower(
    name: str, tower: Tower, precision: str, dtype: type, scratch: Path, *, fused: bool
) -> Graph:
    called = f"{name}{'-fused' if fused else ''}"
    path = scratch / f"{called}-{precision}.onnx"
    output = write_tower(tower, path, dtype=dtype, fused=fused)
    return Graph(called, precision, path, output, "pixels", tower.size_px, tower.flops)


def _of_bundle(directory: Path) -> Graph:
    manifest = json.loads((directory / "manifest.json").read_text())
    image = manifest["image"]
    path = directory / image["file"]
    return Graph(
        manifest["name"],
        manifest["precision"],
        path,
        image["output"],
        image["input"],
        image["size_px"],
    )


def _measured(graph: Graph, rates: dict[str, float], options: Options) -> dict[str, Any]:
    print(f"{graph.name} {graph.precision}", file=sys.stderr)
    loaded = session(graph.path, options.device)
    batches = [_batch(graph, loaded, size, rates, options) for size in options.batches]
    cosine = _parity(graph, loaded)
    return {
        "name": graph.name,
        "precision": graph.precision,
        "cosine_to_cpu_min": cosine,
        "batches": batches,
    }


def _batch(
    graph: Graph,
    loaded: onnxruntime.InferenceSession,
    size: int,
    rates: dict[str, float],
    options: Options,
) -> dict[str, Any]:
    pixels = _frames(graph, size)
    run = bound(loaded, graph.output, {graph.input: pixels}, options.device)
    on_device = per_second(run, options.seconds) * size

    def answer(_: int) -> None:
        loaded.run([graph.output], {graph.input: pixels})

    with ThreadPoolExecutor(options.in_flight) as pool:
        run = partial(all_of, pool, answer, range(options.in_flight))
        rate = per_second(run, options.seconds)
    found = {
        "batch": size,
        "images_s_on_device": on_device,
        "images_s_with_copies": rate * size * options.in_flight,
    }
    peak = rates.get(graph.precision)
    if graph.flops and peak:
        found["share_of_matrix_rate"] = on_device * graph.flops / (peak * 1e12)
    return found


def _parity(graph: Graph, loaded: onnxruntime.InferenceSession) -> float:
    """Smallest cosine between what this device and the CPU make of the same graph."""
    pixels = {graph.input: _frames(graph, PARITY_FRAMES)}
    one, other = (
        np.asarray(ran.run([graph.output], pixels)[0], dtype=np.float64)
        for ran in (loaded, session(graph.path, "cpu"))
    )
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / lengths).min())


def _frames(graph: Graph, count: int) -> np.ndarray:
    shape = (count, graph.size_px, graph.size_px, 3)
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def _machine() -> dict[str, Any]:
    return {
        "card": _card(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "onnxruntime": onnxruntime.__version__,
        "providers": onnxruntime.get_available_providers(),
    }


def _card() -> str:
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(
            query, capture_output=True, text=True, check=True, timeout=30
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


if __name__ == "__main__":
    sys.exit(main())
