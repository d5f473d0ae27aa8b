"""The server with a leak planted where TEST_LEAK says: what every check of memory must catch."""

import os
from typing import Any
from unittest.mock import patch

from moderation.adapters.images import workers
from moderation.cli.main import run
from moderation.core.decision import Decision
from moderation.service.moderator import Moderator

LEAKED_BYTES = 16 * 1024
"""By each request: 1.6 GB after 100,000."""

leaked: list[bytes] = []
judge = Moderator.moderate


async def judge_and_leak(*request: Any, **options: Any) -> Decision:  # noqa: ANN401 - handed on
    leaked.append(bytes([1]) * LEAKED_BYTES)
    return await judge(*request, **options)


if __name__ == "__main__":
    if os.environ["TEST_LEAK"] == "decoders":
        with patch.object(workers, "MODULE", "tests.e2e.leaky_decoder"):
            run()
    with patch.object(Moderator, "moderate", judge_and_leak):
        run()
