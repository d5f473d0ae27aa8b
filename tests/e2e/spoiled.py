"""The server with an encoder whose embeddings of pictures are no numbers."""

from unittest.mock import patch

import numpy as np

from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.cli.main import run
from moderation.core.content import Embeddings, Pixels

encode = ImageSessions.run


def no_number(self: ImageSessions, pixels: Pixels) -> Embeddings:
    return encode(self, pixels) * np.float32(np.nan)


if __name__ == "__main__":
    with patch.object(ImageSessions, "run", no_number):
        run()
