"""The server on a machine with a GPU, as far as its metrics can tell: tests have none."""

from unittest.mock import patch

from moderation.adapters.nvidia import Gpus
from moderation.cli.main import run
from moderation.service.gpus import GpuUse

if __name__ == "__main__":
    with patch.object(Gpus, "use", lambda _: [GpuUse(0, 3 << 30, 80 << 30, 0.4)]):
        run()
