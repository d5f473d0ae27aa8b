"""The command as a shell sees it: exit codes, and what goes to which stream."""

from pathlib import Path

import pytest

from moderation import __version__
from moderation.cli.exits import MEANING
from tests.cli.command import PYTHONPATH, moderation, shell

HEAVY = {"numpy", "grpc", "onnxruntime", "google.protobuf", "PIL", "uvloop", "structlog"}


def files_below(folder: Path, pattern: str) -> list[Path]:
    return [path for path in folder.rglob(pattern) if path.is_file()]


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


async def test_a_wrong_command_line_names_the_help_of_that_command() -> None:
    ended = await moderation("policy", "history", "--nonsense")

    assert ended.exit_code == 64
    assert "`moderation policy history --help` shows the way" in ended.err


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
    assert "--tls-certificate" in ended.err


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--tls-certificate", "a.pem"], "tls.certificate_file and tls.key_file belong together"),
        (["--client-ca", "ca.pem"], "tls.client_certificates needs TLS"),
    ],
)
async def test_settings_of_tls_that_do_not_fit_together_are_told(
    flags: list[str], told: str
) -> None:
    ended = await moderation("serve", *flags)

    assert ended.exit_code == 78
    assert told in ended.err


async def test_certificates_that_cannot_be_used_are_told_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    gone = tmp_path / "tls.crt"
    files = ("--tls-certificate", gone, "--tls-key", tmp_path / "tls.key")

    ended = await moderation("serve", "--host", "0.0.0.0", *files)

    assert ended.exit_code == 69
    assert f"cannot start: tls.certificate_file: {gone}: there is no such file" in ended.err


async def test_one_port_for_requests_and_metrics_is_refused() -> None:
    ended = await moderation("serve", "--port", "5001", "--metrics-port", "5001")

    assert ended.exit_code == 78
    assert "server.port and metrics.port are both 5001 on 127.0.0.1" in ended.err


async def test_a_shell_completes_commands() -> None:
    ended = await moderation(
        env={
            "_MODERATION_COMPLETE": "complete_bash",
            "COMP_WORDS": "moderation c",
            "COMP_CWORD": "1",
        }
    )

    assert ended.out.split() == ["check", "client", "config", "calibrate"]


async def test_completion_is_shown_for_the_shell_it_runs_in() -> None:
    ended = await shell("$MODERATION --show-completion; exit $?")

    assert ended.exit_code == 0
    assert "_MODERATION_COMPLETE=complete_bash" in ended.out
    assert "complete -o default -F _moderation_completion moderation" in ended.out


async def test_completion_installs_itself(tmp_path: Path) -> None:
    ended = await shell(f"HOME={tmp_path} $MODERATION --install-completion; exit $?")

    assert ended.exit_code == 0
    (script,) = files_below(tmp_path, "*moderation*")
    assert str(script) in (tmp_path / ".bashrc").read_text()


async def test_a_reader_that_leaves_is_no_decision() -> None:
    ended = await shell("set -o pipefail; $MODERATION config | true")

    assert ended.exit_code == 141
    assert ended.err == ""


async def test_a_bug_is_no_decision(tmp_path: Path) -> None:
    (tmp_path / "grpc.py").write_text("raise RuntimeError('scripted')")

    ended = await moderation("status", env={"PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"})

    assert ended.exit_code == 70
    assert ended.err.endswith("RuntimeError: scripted\n")


async def test_a_worker_is_started_by_nobody_but_its_supervisor() -> None:
    ended = await moderation("serve-as-worker", "0")

    assert ended.exit_code == 64
    assert "started by `moderation serve --workers`" in ended.err
    assert "serve-as-worker" not in (await moderation("--help")).out


async def test_cards_that_cannot_be_dealt_out_are_told_before_anything_starts() -> None:
    devices = ("--device", "cuda:0,cuda:1,cuda:2")
    ended = await moderation(
        "serve", "--workers", "2", "--port", "0", "--metrics-port", "0", *devices
    )

    assert ended.exit_code == 78
    assert "3 cards cannot be dealt out" in ended.err
