"""What the command of the example for Node says of mistakes; other tests show that it moderates."""

import shutil
import subprocess

import pytest

from tests.deploy.load import ROOT

NODE = ROOT / "examples" / "node"
NOBODY = "127.0.0.1:1"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        shutil.which("node") is None or not (NODE / "node_modules").exists(),
        reason="not installed: node, or its packages (npm ci --ignore-scripts in examples/node)",
    ),
]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "named"),
    [
        ([NOBODY, "no-such.jpg"], 66, "no-such.jpg"),
        (["--ca", "no-such.crt", NOBODY, "cat.jpg"], 66, "no-such.crt"),
        (["--surname", NOBODY, "cat.jpg"], 1, "--surname"),
        ([NOBODY], 64, "usage"),
    ],
)
def test_a_mistake_is_told_in_one_line(arguments: list[str], exit_code: int, named: str) -> None:
    command = ["node", "moderate.js", *arguments]
    done = subprocess.run(
        command, cwd=NODE, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == exit_code
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr
