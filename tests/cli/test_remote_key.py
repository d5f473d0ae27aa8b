"""`moderation client` and `moderation status` show a key, and never print it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from moderation.client.caller import AUTHORIZATION
from moderation.v1 import moderation_pb2 as pb
from tests.cli.command import moderation
from tests.client.scripted import Context, ScriptedService, serving

KEY = "mod_shop-1_abc"


class Guarded(ScriptedService):
    """Answers whoever shows the key."""

    async def GetStatus(
        self, request: pb.GetStatusRequest, context: Context
    ) -> pb.GetStatusResponse:
        shown = dict(context.invocation_metadata() or ()).get(AUTHORIZATION)
        return pb.GetStatusResponse(serving=shown == f"Bearer {KEY}")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with serving(Guarded()) as address:
        yield address


async def test_a_key_of_the_environment_or_a_file_is_shown(address: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")

    by_file = await moderation("status", "--address", address, "--api-key-file", tmp_path / "key")
    by_environment = await moderation(
        "status", "--address", address, env={"MODERATION_API_KEY": KEY}
    )
    without = await moderation("status", "--address", address)

    assert [one.exit_code for one in (by_file, by_environment, without)] == [0, 0, 69]
    assert KEY not in by_file.out + by_environment.out


async def test_a_key_that_would_travel_in_plain_text_is_not_sent() -> None:
    ended = await moderation(
        "status", "--address", "moderation.svc:1", env={"MODERATION_API_KEY": KEY}
    )

    assert ended.exit_code == 64
    assert "in plain text; give --ca, or --plain-text-key" in ended.err
    assert KEY not in ended.err


async def test_a_file_that_holds_no_key_is_told(tmp_path: Path) -> None:
    ended = await moderation("status", "--api-key-file", tmp_path / "none")

    assert ended.exit_code == 78
    assert "the API key cannot be read: No such file" in ended.err


async def test_no_list_of_settings_shows_the_key() -> None:
    for form in ("--toml", "--markdown"):
        ended = await moderation("config", form, env={"MODERATION_API_KEY": KEY})

        assert ended.exit_code == 0
        assert KEY not in ended.out + ended.err
