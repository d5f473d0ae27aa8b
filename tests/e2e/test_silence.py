"""A server talks to nobody but its callers, and leaves no traces of what it runs on."""

from pathlib import Path

import psutil
import pytest

from moderation.client import ModerationClient
from tests.e2e.server import running_server

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()


def test_a_server_reports_its_use_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")  # set for the tests themselves
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    with (
        running_server(ROOT / "policies", env=home) as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        client.moderate(CAT)
        process = psutil.Process(server.process.pid)
        peers = [one.raddr.ip for one in process.net_connections() if one.raddr]
        open_files = {Path(file.path).name for file in process.open_files()}

    assert peers
    assert {one.removeprefix("::ffff:") for one in peers} == {"127.0.0.1"}
    assert not any(name.startswith("onnxruntime.db") for name in open_files)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
