"""The command as a shell sees it: exit codes, and what goes to which stream."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from moderation import __version__
from moderation.cli.exits import MEANING
from tests.cli.command import moderation

HEAVY = {"numpy", "grpc", "onnxruntime", "google.protobuf", "PIL", "uvloop", "structlog"}


async def test_help_tells_every_command_and_exit_code() -> None:
    ended = await moderation("--help")

    assert ended.exit_code == 0
    for command in ("serve", "check", "client", "status", "config"):
        assert f"\n  {command} " in ended.out
    for code, meaning in MEANING.items():
        assert f"{code.value:3}  {meaning}" in ended.out


@pytest.mark.parametrize("command", [[], ["check"], ["client"], ["serve"], ["status"]])
async def test_help_loads_nothing_that_is_slow(command: list[str]) -> None:
    ended = await moderation(*command, "--help", options=("-X", "importtime"))

    loaded = {line.rsplit("|", 1)[-1].strip() for line in ended.err.splitlines()}
    assert "moderation.cli.main" in loaded
    assert not loaded & HEAVY


async def test_the_version_is_told() -> None:
    ended = await moderation("--version")

    assert (ended.exit_code, ended.out) == (0, f"moderation {__version__}\n")


async def test_without_a_command_the_help_goes_to_stderr() -> None:
    ended = await moderation()

    assert ended.exit_code == 64
    assert ended.out == ""
    assert "Usage: moderation" in ended.err


@pytest.mark.parametrize(
    "arguments",
    [["--nope"], ["check"], ["nope"], ["client", "x.jpg", "--on-unavailable", "maybe"]],
)
async def test_a_wrong_command_line_is_no_decision(arguments: list[str]) -> None:
    ended = await moderation(*arguments)

    assert ended.exit_code == 64
    assert ended.out == ""
    assert ended.err.startswith("moderation: ")


@pytest.mark.parametrize("command", ["check", "client"])
async def test_a_missing_picture_is_told_before_anything_else(command: str, tmp_path: Path) -> None:
    ended = await moderation(command, tmp_path / "gone.jpg")

    assert ended.exit_code == 66
    assert "gone.jpg: there is no such file" in ended.err


async def test_a_wrong_setting_is_told_by_name() -> None:
    ended = await moderation("serve", env={"MODERATION_SERVER__PORT": "70000"})

    assert ended.exit_code == 78
    assert "server.port" in ended.err
    assert "MODERATION_SERVER__PORT" in ended.err


async def test_plain_text_for_everybody_needs_a_word() -> None:
    ended = await moderation("serve", "--host", "0.0.0.0")

    assert ended.exit_code == 78
    assert "--insecure" in ended.err


async def test_a_shell_completes_commands() -> None:
    ended = await moderation(
        env={
            "_MODERATION_COMPLETE": "complete_bash",
            "COMP_WORDS": "moderation c",
            "COMP_CWORD": "1",
        }
    )

    assert ended.out.split() == ["check", "client", "config"]


async def test_completion_is_shown_for_the_shell_it_runs_in() -> None:
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"{sys.executable} -m moderation --show-completion; exit $?",
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    out, _ = await process.communicate()

    assert process.returncode == 0
    assert b"_MODERATION_COMPLETE=complete_bash" in out


async def test_a_reader_that_leaves_is_no_decision() -> None:
    command = f"{sys.executable} -m moderation config; exit $?"
    process = await asyncio.create_subprocess_exec(
        "bash",
        "-c",
        f"set -o pipefail; ({command}) | true",
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    _, err = await process.communicate()

    assert process.returncode == 141
    assert err == b""
