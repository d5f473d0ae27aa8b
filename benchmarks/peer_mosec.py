"""CLIP behind mosec, as its documentation shows; run in an environment that holds mosec alone.

One stage decodes in as many processes as there are cores, the next one embeds batches
of at most 8 on every core. Where the graph is comes from the environment, which mosec
hands to its processes.
"""

import os
from io import BytesIO
from typing import Any

import numpy as np
import onnxruntime
from mosec import Server, Worker  # type: ignore[import-not-found, unused-ignore]
from PIL import Image

GRAPH = "PEER_GRAPH"
SIDE_PX = 224
MAX_BATCH_SIZE = 8
MAX_WAIT_MS = 5


class Decode(Worker):  # type: ignore[misc, unused-ignore]
    """Bytes of a file to uint8[224, 224, 3]."""

    def deserialize(self, data: bytes) -> bytes:
        """The body is the image itself."""
        return data

    def forward(self, data: bytes) -> Any:
        """As CLIP's own preprocessing does it."""
        with Image.open(BytesIO(data)) as opened:
            whole = opened.convert("RGB")
        scale = SIDE_PX / min(whole.size)
        size = (round(whole.width * scale), round(whole.height * scale))
        resized = whole.resize(size, Image.Resampling.BICUBIC)
        left, top = (size[0] - SIDE_PX) // 2, (size[1] - SIDE_PX) // 2
        return np.asarray(resized.crop((left, top, left + SIDE_PX, top + SIDE_PX)))


class Embed(Worker):  # type: ignore[misc, unused-ignore]
    """Batches of pixels to unit vectors."""

    def __init__(self) -> None:
        self._session = onnxruntime.InferenceSession(
            os.environ[GRAPH], providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def forward(self, data: list[Any]) -> list[bytes]:
        """One run for all of them."""
        (embeddings,) = self._session.run(None, {self._input: np.stack(data)})
        return [row.tobytes() for row in embeddings]

    def serialize(self, data: bytes) -> bytes:
        """The vector's own bytes."""
        return data


def main() -> None:
    """Serve; mosec reads the port from its own flags."""
    server = Server()
    server.append_worker(Decode, num=len(os.sched_getaffinity(0)))
    server.append_worker(Embed, max_batch_size=MAX_BATCH_SIZE, max_wait_time=MAX_WAIT_MS)
    server.run()


if __name__ == "__main__":
    main()
