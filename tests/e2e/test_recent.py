"""What a server judged can be used to try an edit, if it was told to keep embeddings."""

import subprocess
import sys
from pathlib import Path

import pytest

from moderation.adapters.encoders.registry import describe_encoder
from moderation.adapters.recent_store import RecentUnavailable, read_recent
from moderation.client import ModerationClient
from tests.e2e.server import running_server

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SNAKE = (ROOT / "samples" / "green-snake.jpg").read_bytes()
CAT = (ROOT / "samples" / "running-cat.gif").read_bytes()


def serve_two(tmp_path: Path, **settings: str) -> Path:
    """Have two pictures judged by a server; answers where it keeps embeddings, if it does."""
    recent = tmp_path / "recent"
    env = {
        "MODERATION_RECENT__DIRECTORY": str(recent),
        "MODERATION_POLICIES__STATE_DIRECTORY": str(tmp_path / "state"),
        **settings,
    }
    with (
        running_server(ROOT / "policies", "--device", "cpu", env=env) as server,
        ModerationClient(server.address) as client,
    ):
        client.moderate(SNAKE, content_id="snake")
        client.moderate(CAT, content_id="cat")
    return recent


def test_an_edit_is_tried_on_what_was_judged(tmp_path: Path) -> None:
    recent = serve_two(tmp_path, MODERATION_RECENT__ENABLED="true")

    command = [sys.executable, "-m", "moderation", "policy", "diff"]
    command += [str(ROOT / "policies"), "--policies", str(ROOT / "policies")]
    env = {"MODERATION_POLICIES__CACHE_DIRECTORY": str(tmp_path / "cache")}
    told = subprocess.run(
        [*command, "--recent", str(recent)], capture_output=True, text=True, check=True, env=env
    ).stdout

    assert "Tried on 2 contents, profile default." in told
    corpus = read_recent(recent, encoder_id=describe_encoder("starter")[0].encoder_id)
    assert corpus.content_ids == ("snake", "cat")
    assert len(corpus.frames_of(1)) == 8
    kept = b"".join(path.read_bytes() for path in recent.iterdir())
    assert SNAKE[:64] not in kept


def test_nothing_is_kept_unless_a_setting_asks_for_it(tmp_path: Path) -> None:
    recent = serve_two(tmp_path)

    with pytest.raises(RecentUnavailable):
        read_recent(recent, encoder_id=describe_encoder("starter")[0].encoder_id)
    assert not recent.exists()
