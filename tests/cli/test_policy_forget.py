"""`moderation policy forget`: the bytes are gone, and only those."""

from pathlib import Path

from moderation.adapters.recent_store import RecentStore, read_recent
from tests.cli.command import moderation
from tests.fakes import FAKE_DIM, embedding_of


def everything(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_a_content_is_forgotten_while_the_server_runs(tmp_path: Path) -> None:
    with RecentStore(
        tmp_path,
        encoder_id="e",
        dim=FAKE_DIM,
        max_frames=9,
        max_age_s=3600,
        clock=lambda: 1_000_000.0,
    ) as store:
        store.append([("them", embedding_of("a face")[None]), ("b", embedding_of("a cup")[None])])

        ended = await moderation("policy", "forget", "them", "unknown", "--recent", tmp_path)

    assert (ended.exit_code, ended.out) == (0, "1 frames overwritten\n")
    assert read_recent(tmp_path, encoder_id="e").content_ids == ("b",)
    assert embedding_of("a face").tobytes() not in everything(tmp_path)


async def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    ended = await moderation("policy", "forget", "x", "--recent", tmp_path / "nowhere")

    assert ended.exit_code == 66
    assert "there is no such directory" in ended.err


async def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "x.recent").write_text("something else")

    ended = await moderation("policy", "forget", "x", "--recent", tmp_path)

    assert ended.exit_code == 70
    assert "is no file of recent embeddings" in ended.err
