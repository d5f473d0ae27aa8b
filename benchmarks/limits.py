"""The limits that a card's throughput is held against: products, copies, decoding."""

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import onnxruntime

from benchmarks.measuring import all_of, bound, per_second, session
from benchmarks.vit_graphs import DTYPES, write_products

PRODUCT_SIZE = {"cpu": 512, "cuda": 8192}
PRODUCTS = 8
COPY_BYTES = 64 * 2**20
PICTURES = {"VGA": (640, 480), "1080p": (1920, 1080), "12 MP": (4000, 3000)}
DRAFT_PX = 448
CUDA_RUNTIMES = ("libcudart.so.13", "libcudart.so.12")


def products(scratch: Path, device: str, seconds: float) -> dict[str, float]:
    """Rates of square matrix products by precision, in TFLOP/s."""
    size = PRODUCT_SIZE[device]
    rates = {}
    for precision, dtype in DTYPES.items():
        path = scratch / f"products-{precision}.onnx"
        output = write_products(size, PRODUCTS, path, dtype=dtype)
        rows = {"rows": np.ones((size, size), dtype=dtype)}
        run = bound(session(path, device), output, rows, device)
        rates[precision] = per_second(run, seconds) * PRODUCTS * 2 * size**3 / 1e12
    return rates


def copies(device: str, seconds: float) -> dict[str, float]:
    """From memory to the card, as it comes and page-locked; empty where there is no card."""
    if device == "cpu":
        return {}
    host = np.ones(COPY_BYTES, dtype=np.uint8)
    target = onnxruntime.OrtValue.ortvalue_from_numpy(host, device, 0)
    copy = partial(target.update_inplace, host)
    found = {"pageable": per_second(copy, seconds) * COPY_BYTES / 1e9}
    if _page_locked(host):
        found["pinned"] = per_second(copy, seconds) * COPY_BYTES / 1e9
    return found


def _page_locked(host: np.ndarray) -> bool:
    for name in CUDA_RUNTIMES:
        with suppress(OSError):
            runtime = ctypes.CDLL(name)
            address, size = ctypes.c_void_p(host.ctypes.data), ctypes.c_size_t(host.nbytes)
            return bool(runtime.cudaHostRegister(address, size, ctypes.c_uint(0)) == 0)
    return False


def decoding(seconds: float) -> dict[str, float]:
    """JPEGs a second on all cores, with Pillow's draft mode; empty without Pillow."""
    try:
        from PIL import Image  # noqa: PLC0415 - everything else works without it
    except ImportError:
        return {}
    at_once = 4 * (os.cpu_count() or 1)
    found = {}
    for name, size in PICTURES.items():
        tiles = np.random.default_rng(1).integers(0, 256, (30, 40, 3), dtype=np.uint8)
        file = BytesIO()
        Image.fromarray(tiles).resize(size).save(file, "JPEG", quality=88)

        def decode(jpeg: bytes) -> None:
            image = Image.open(BytesIO(jpeg))
            image.draft("RGB", (DRAFT_PX, DRAFT_PX))
            image.resize((224, 224), Image.Resampling.BICUBIC)

        jpegs = [file.getvalue()] * at_once
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            run = partial(all_of, pool, decode, jpegs)
            found[name] = per_second(run, seconds) * at_once
    return found
