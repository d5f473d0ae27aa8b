"""Makes the pictures of the dashboards for the pages, from three minutes with all that can happen.

`python -m tests.deploy.draw_dashboards docs/pictures`

The servers have no GPU, and its panels say so: nothing in the pictures is made up.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.deploy.dashboards import state_a_review_budget
from tests.deploy.load import running_load
from tests.deploy.monitoring import ROOT, running_prometheus
from tests.e2e.server import running_server

CALM_S = 25.0
MINUTES = 2.5
SAMPLES = sorted((ROOT / "samples").glob("*.jpg"))
NO_CATS = """\
id: no-cats
title: Cats
phrases: [a cat]
thresholds: {review: 0.4, block: 0.45}
mode: shadow
"""
DRIFT = {"MODERATION_DRIFT__MIN_SCORES": "20", "MODERATION_DRIFT__WINDOW_S": "24"}


def main(pictures: Path) -> None:
    """Two servers, some load, some trouble, and the pictures."""
    with ExitStack() as stack, TemporaryDirectory() as scratch:
        policies = Path(shutil.copytree(ROOT / "policies", Path(scratch, "policies")))
        state_a_review_budget(policies, 0.2)
        remember_how_they_score(policies)
        env = {"MODERATION_LIMITS__MAX_IN_FLIGHT": "4", **DRIFT}
        one, other = (stack.enter_context(running_server(policies, env=env)) for _ in range(2))
        urls = [one.metrics_url, other.metrics_url]
        prometheus = stack.enter_context(running_prometheus(Path(scratch), urls))
        loads = [stack.enter_context(running_load(server.address)) for server in (one, other)]
        for load in loads:
            load.pictures = [path.read_bytes() for path in SAMPLES]
        time.sleep(CALM_S)
        (policies / "no-cats.yaml").write_text(NO_CATS)
        time.sleep(CALM_S)
        loads[0].pictures = [*loads[0].pictures[:6], b"no picture", b"\xff\xd8\xff"]
        loads[1].burst()
        time.sleep(CALM_S)
        (policies / "mistake.yaml").write_text("id: mistake\nphrases: [\n")
        loads[1].burst()
        time.sleep(CALM_S)
        (policies / "mistake.yaml").unlink()
        gambling = policies / "gambling.yaml"
        gambling.write_text(gambling.read_text().replace("phrases:\n", "phrases:\n  - a jackpot\n"))
        time.sleep(CALM_S)
        command = [sys.executable, str(ROOT / "deploy/grafana/pictures.py"), str(pictures)]
        command += ["--prometheus", prometheus.url, "--minutes", str(MINUTES), "--rate", "10s"]
        subprocess.run(command, check=True)


def remember_how_they_score(policies: Path) -> None:
    """Make references for drift of the pictures that are uploaded while all is well."""
    command = [sys.executable, "-m", "moderation", "drift", "reference"]
    command += ["--policies", str(policies), "--on", str(ROOT / "samples")]
    subprocess.run(command, check=True, env={**os.environ, **DRIFT})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
