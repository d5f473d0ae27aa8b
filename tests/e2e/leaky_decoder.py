"""The decoding process with a leak planted."""

import json
import sys
from unittest.mock import patch

from moderation.adapters.images.decoder import PillowDecoder
from moderation.adapters.images.limits import DecodeLimits
from moderation.adapters.images.worker import WorkerLimits, main
from moderation.core.content import Pixels

LEAKED_BYTES = 16 * 1024

leaked: list[bytes] = []
decode = PillowDecoder.decode


def decode_and_leak(self: PillowDecoder, image: bytes) -> Pixels:
    leaked.append(bytes([1]) * LEAKED_BYTES)
    return decode(self, image)


if __name__ == "__main__":
    given = json.loads(sys.argv[2])
    limits = WorkerLimits(**given["process"]), DecodeLimits(**given["images"])
    with patch.object(PillowDecoder, "decode", decode_and_leak):
        main(int(sys.argv[1]), *limits)
