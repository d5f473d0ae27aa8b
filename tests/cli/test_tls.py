"""`moderation client` and `moderation status` over TLS."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.certificates import Authority, put
from tests.cli.command import moderation
from tests.client.scripted import ScriptedService, serving

OURS = Authority()
CLIENT = OURS.issue("client")


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Of a server that wants to see a certificate."""
    async with serving(ScriptedService(), OURS.demanding()) as address:
        yield address


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    """Those that get in."""
    ca, certificate = put(tmp_path / "ca.crt", OURS.pem), put(tmp_path / "my.crt", CLIENT.pem)
    key = put(tmp_path / "my.key", CLIENT.key_pem)
    return ["--ca", str(ca), "--cert", str(certificate), "--key", str(key)]


async def test_the_right_files_get_an_answer(address: str, flags: list[str]) -> None:
    ended = await moderation("status", "--address", address, *flags)

    assert ended.exit_code == 0
    assert "serving" in ended.out


async def test_without_a_certificate_there_is_no_answer(address: str, flags: list[str]) -> None:
    ended = await moderation("status", "--address", address, "--timeout", "2", *flags[:2])

    assert ended.exit_code == 69
    assert ended.err.startswith(f"moderation: {address}: UNAVAILABLE")
    assert "--cert and --key for one that asks for a certificate" in ended.err


async def test_another_name_than_the_server_s_is_no_answer(address: str, flags: list[str]) -> None:
    wrong = ("--server-name", "somebody.else", "--timeout", "2")
    ended = await moderation("status", "--address", address, *flags, *wrong)

    assert ended.exit_code == 69


async def test_files_that_cannot_be_used_are_told_before_anybody_is_asked(
    tmp_path: Path, flags: list[str]
) -> None:
    gone = tmp_path / "gone.crt"
    half = await moderation("status", *flags[:4])
    missing = await moderation("status", "--ca", gone)

    assert (half.exit_code, missing.exit_code) == (64, 78)
    assert "--cert and --key belong together" in half.err
    assert f"{gone}: cannot be read: No such file or directory" in missing.err
