"""Batches that fit into a device's memory: how large they may be is found out by running them."""

import logging
from collections.abc import Callable

import numpy as np

from moderation.adapters.encoders.onnx_session import OutOfMemory
from moderation.core.content import Embeddings, Pixels
from moderation.core.errors import Overloaded

RETRY_AFTER_S = 2.0
GROW_AFTER = 1000
"""Runs at the limit before a larger batch is tried: memory may have become free again."""

log = logging.getLogger(__name__)


class FittingBatches:
    """Answers a batch that does not fit in halves, and keeps to the size that did.

    For one thread at a time.
    """

    def __init__(self, run: Callable[[Pixels], Embeddings]) -> None:
        self._run = run
        self._limit: int | None = None
        self._runs_at_limit = 0

    def run(self, pixels: Pixels) -> Embeddings:
        """One row for each frame; raises Overloaded if not even one frame fits."""
        parts: list[Embeddings] = []
        start = 0
        while start < len(pixels):
            size = min(self._limit or len(pixels), len(pixels) - start)
            try:
                parts.append(self._run(pixels[start : start + size]))
            except OutOfMemory as error:
                self._shrink(size, error)
                continue
            self._grow_in_time(size)
            start += size
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _shrink(self, size: int, error: OutOfMemory) -> None:
        if size == 1:
            raise Overloaded(
                "the device has no memory left for one frame", retry_after_s=RETRY_AFTER_S
            ) from error
        self._limit = size // 2
        self._runs_at_limit = 0
        log.warning(
            "a batch of %d did not fit into memory; from now on %d",
            size,
            self._limit,
            extra={"event": "batch_did_not_fit"},
        )

    def _grow_in_time(self, size: int) -> None:
        if self._limit is None or size < self._limit:
            return
        self._runs_at_limit += 1
        if self._runs_at_limit >= GROW_AFTER:
            self._limit, self._runs_at_limit = 2 * self._limit, 0
