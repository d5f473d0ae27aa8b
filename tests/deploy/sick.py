"""The server with an encoder that is slow and gives no numbers, and with a bug in one method."""

import time
from unittest.mock import patch

import numpy as np

from moderation.adapters.encoders.image_sessions import ImageSessions
from moderation.adapters.grpc.reports import Reports
from moderation.cli.main import run
from moderation.core.content import Embeddings, Pixels

SLOW_S = 0.7
encode = ImageSessions.run


def slow_and_no_number(self: ImageSessions, pixels: Pixels) -> Embeddings:
    time.sleep(SLOW_S)
    return encode(self, pixels) * np.float32(np.nan)


def with_a_bug(self: Reports) -> None:
    raise RuntimeError("planted")


if __name__ == "__main__":
    with (
        patch.object(ImageSessions, "run", slow_and_no_number),
        patch.object(Reports, "list_policies", with_a_bug),
    ):
        run()
