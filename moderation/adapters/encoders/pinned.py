"""Page-locked memory, from which a GPU copies without the CPU's help.

A buffer is only registered with the CUDA runtime; without one it is memory like
any other, and everything works the same.
"""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import numpy as np

from moderation.core.content import Pixels

RUNTIMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")
REGISTER_DEFAULT = 0

Register = Callable[[int, int], bool]
"""Page-locks so many bytes from an address on; whether it could."""


class PinnedFrames:
    """Holds one batch at a time; belongs to one thread at a time."""

    def __init__(self, frames: int, size_px: int, register: Register) -> None:
        self._buffer = np.zeros((frames, size_px, size_px, 3), dtype=np.uint8)
        self.is_pinned = register(self._buffer.ctypes.data, self._buffer.nbytes)

    def hold(self, pixels: Pixels) -> Pixels:
        """The same pixels in page-locked memory, or themselves where that would not help."""
        if not self.is_pinned or len(pixels) > len(self._buffer):
            return pixels
        held = self._buffer[: len(pixels)]
        held[...] = pixels
        return held


def register_with_cuda(address: int, n_bytes: int) -> bool:
    """Page-lock memory for the process's life; False where CUDA's runtime is not there."""
    runtime = _cuda_runtime()
    if runtime is None:
        return False
    status: int = runtime.cudaHostRegister(
        ctypes.c_void_p(address), ctypes.c_size_t(n_bytes), ctypes.c_uint(REGISTER_DEFAULT)
    )
    return status == 0


@cache
def _cuda_runtime() -> ctypes.CDLL | None:
    for name in RUNTIMES:
        with suppress(OSError):
            return ctypes.CDLL(name)
    return None
