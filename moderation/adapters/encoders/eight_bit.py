"""Whether products of eight-bit numbers overflow on this processor: found by multiplying some.

Without VNNI instructions (AMD before Zen 4, Intel before Ice Lake) the fast way adds pairs of
products in 16 bits. onnxruntime knows a slower way that is exact, and leaves it to us to ask.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRODUCT = (
    b'\x08\x05:>\n\x18\n\x01a\n\x01b\x12\x01c"\rMatMulInteger\x12\x01gZ\t\n\x01a\x12\x04\n\x02\x08\x02'
    b"Z\t\n\x01b\x12\x04\n\x02\x08\x03b\t\n\x01c\x12\x04\n\x02\x08\x06B\x04\n\x00\x10\n"
)
"""An ONNX graph of one node: c, int32, is the product of a, uint8, and b, int8. Written out, since
a server has no library that writes graphs; a test reads it with one that does."""
HIGHEST_ROW, HIGHEST_WEIGHT = 255, 127
DEPTH, WIDTH = 64, 32
ROWS = (1, 8)
"""One row alone takes another way through onnxruntime than several."""

Run = Callable[[None, Mapping[str, NDArray[Any]]], list[NDArray[Any]]]


def overflows(run: Run) -> bool:
    """Whether the largest numbers there are come out wrong; `run` runs `PRODUCT`."""
    weights = np.full((DEPTH, WIDTH), HIGHEST_WEIGHT, dtype=np.int8)
    exact = DEPTH * HIGHEST_ROW * HIGHEST_WEIGHT
    return any(
        (
            run(None, {"a": np.full((n, DEPTH), HIGHEST_ROW, np.uint8), "b": weights})[0] != exact
        ).any()
        for n in ROWS
    )
