"""The server with an encoder that never comes back from a white picture, whatever asks it to."""

import time
from unittest.mock import patch

import numpy as np

from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.cli.main import run
from moderation.core.content import Embeddings, Pixels

encode = ImageSessions.run
WHITE = np.iinfo(np.uint8).max


def hang_on_white(self: ImageSessions, pixels: Pixels) -> Embeddings:
    if pixels.min() == WHITE:
        session = self.sessions[0]
        with session._runs.one():
            time.sleep(3600)
    return encode(self, pixels)


if __name__ == "__main__":
    with patch.object(ImageSessions, "run", hang_on_white):
        run()
