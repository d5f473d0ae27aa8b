"""What a server encoded is known to the next one, if it was told so, until it is erased."""

import subprocess
import sys
from pathlib import Path

import pytest

from moderation.client import ModerationClient
from tests.e2e.server import Server, running_server

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()


def lookups(server: Server, result: str) -> float:
    return server.metrics()[f'moderation_embedding_lookups_total{{result="{result}"}}']


def test_a_restart_knows_what_was_encoded_before_until_it_is_erased(tmp_path: Path) -> None:
    settings = tmp_path / "moderation.yaml"
    settings.write_text(
        f"cache: {{directory: {tmp_path / 'cache'}}}\n"
        f"decision_log: {{directory: {tmp_path / 'decisions'}}}\n"
    )
    decisions = []
    for looked_up in ("miss", "stored"):
        with (
            running_server(ROOT / "policies", "--config", str(settings)) as server,
            ModerationClient(server.address) as client,
        ):
            decisions.append(client.moderate(CAT, content_id="cat"))
            assert lookups(server, looked_up) == 1
            assert lookups(server, "hit") == 0

    assert len({(one.action, one.verdicts[0].score) for one in decisions}) == 1
    command = [sys.executable, "-m", "moderation", "log", "erase", "--content-id", "cat"]
    told = subprocess.run(
        [*command, "--config", str(settings)], capture_output=True, text=True, check=True
    ).stdout
    assert f"1 embeddings overwritten in {tmp_path / 'cache'}" in told


def test_a_directory_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    command = [sys.executable, "-m", "moderation", "serve", "--port", "0", "--metrics-port", "0"]
    settings = tmp_path / "moderation.yaml"
    settings.write_text(f"cache: {{directory: {tmp_path / 'cache'}}}\n")

    ended = subprocess.run(
        [*command, "--config", str(settings), "--policies", str(ROOT / "policies")],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert ended.returncode == 69
    assert "cache.directory cannot be used: " in ended.stderr
    assert str(tmp_path / "cache") in ended.stderr
