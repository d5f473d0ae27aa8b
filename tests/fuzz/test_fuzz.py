"""Each fuzzer runs for some seconds on every change; `make fuzz` gives each ten minutes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import ROOT, TARGETS

pytest.importorskip("atheris", reason="atheris is built for Linux on x86_64 only")

SECONDS = 5
# Two instruments at once would measure each other.
ENVIRONMENT = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_nothing(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz", name, "--seconds", str(SECONDS)]

    run = subprocess.run(
        [*command, "--findings", str(tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr[-4000:]
    assert list(tmp_path.iterdir()) == []
    assert "number_of_executed_units" in run.stderr


def test_a_fault_is_found(tmp_path: Path) -> None:
    """The harness itself: an input that breaks a target ends the run with that input on disk."""
    script = (
        "import sys; sys.argv = ['fuzz', 'request', '--seconds', '20', '--findings', sys.argv[1]]\n"
        "import tests.fuzz.__main__ as fuzz\n"
        "from dataclasses import replace\n"
        "def once(data):\n    assert b'an-id' not in data\n"
        "fuzz.TARGETS['request'] = replace(fuzz.TARGETS['request'], once=once)\n"
        "fuzz.main()\n"
    )

    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )

    assert run.returncode != 0
    (finding,) = tmp_path.iterdir()
    assert b"an-id" in finding.read_bytes()
