"""The server with a disk that hangs for as long as a file exists, which a test makes."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

from moderation.adapters.decision_log.store import DecisionLogStore
from moderation.cli.main import run
from moderation.core.record import Judgement

HANGS = Path(os.environ["TEST_DISK_HANGS"])
append = DecisionLogStore.append


def append_when_it_does_not_hang(
    self: DecisionLogStore, judgements: Sequence[Judgement], *, lost: int = 0
) -> int:
    while HANGS.exists():
        time.sleep(0.01)
    return append(self, judgements, lost=lost)


if __name__ == "__main__":
    with patch.object(DecisionLogStore, "append", append_when_it_does_not_hang):
        run()
