"""`moderation doctor` as a shell sees it, and how its checks are run."""

import json
import re
from pathlib import Path

import pytest

from moderation.cli.examination import checks, runtime
from moderation.cli.examination.checks import CHECKS, Check, examine, exit_code_of
from moderation.cli.examination.findings import Finding, Level, broken, doubtful, good
from moderation.cli.exits import Exit
from tests.bundles import clip_bundle
from tests.cli.command import PYTHONPATH, moderation
from tests.cli.examination.patients import POLICY, policies_in, settings_of


def variables(tmp_path: Path) -> dict[str, str]:
    return {
        "MODERATION_ENCODER__BUNDLE": str(tmp_path / "bundle"),
        "MODERATION_POLICIES__DIRECTORY": str(policies_in(tmp_path / "policies")),
        "MODERATION_POLICIES__CACHE_DIRECTORY": str(tmp_path / "cache"),
        "MODERATION_POLICIES__STATE_DIRECTORY": str(tmp_path / "state"),
        "MODERATION_SERVER__PORT": "0",
        "MODERATION_METRICS__PORT": "0",
    }


async def test_a_good_installation_passes_every_check(tmp_path: Path) -> None:
    clip_bundle(tmp_path / "bundle")

    ended = await moderation("doctor", "--json", env=variables(tmp_path))

    found = [json.loads(line) for line in ended.out.splitlines()]
    failed = [one for one in found if one["level"] == "fail"]
    assert (ended.exit_code, ended.err, failed) == (0, "", [])
    assert list(dict.fromkeys(one["check"] for one in found)) == [one.name for one in CHECKS]
    assert set(found[0]) == {"check", "level", "what", "where", "cure"}


async def test_what_is_broken_is_told_beside_what_to_do(tmp_path: Path) -> None:
    clip_bundle(tmp_path / "bundle")
    env = variables(tmp_path)
    policies_in(tmp_path / "policies", POLICY.replace("0.99", "9"))

    ended = await moderation("doctor", env={**env, "COLUMNS": "300"})

    assert ended.exit_code == 78
    assert "E001" in ended.out
    assert "mend the file; a running server keeps its last good set" in ended.out
    assert "1 to mend" in ended.out.splitlines()[-1]


async def test_what_serve_is_told_by_flags_is_looked_at_when_told_here_too(tmp_path: Path) -> None:
    clip_bundle(tmp_path / "bundle")
    flags: list[str | Path] = ["--keys", tmp_path / "no-keys", "--decision-log", "/dev/null"]
    flags += ["--tls-certificate", tmp_path / "no-crt", "--tls-key", tmp_path / "no-key"]
    flags += ["--client-ca", tmp_path / "no-ca"]

    ended = await moderation("doctor", "--json", *flags, env=variables(tmp_path))

    found = [json.loads(line) for line in ended.out.splitlines()]
    failed = {one["where"].split()[0] for one in found if one["level"] == "fail"}
    assert ended.exit_code == 78, ended.err
    assert failed >= {
        "identity.keys_file",
        "tls.certificate_file",
        "tls.key_file",
        "tls.client_ca_file",
        "decision_log.directory",
    }


async def test_plain_text_for_others_is_fine_if_it_is_meant_as_serve_has_it(tmp_path: Path) -> None:
    clip_bundle(tmp_path / "bundle")
    flags = ["doctor", "--json", "--host", "0.0.0.0"]

    refused = await moderation(*flags, env=variables(tmp_path))
    meant = await moderation(*flags, "--insecure", env=variables(tmp_path))

    found = [json.loads(line) for line in refused.out.splitlines()]
    settings = [one["level"] for one in found if one["check"] == "settings"]
    assert (refused.exit_code, settings) == (78, ["fail"])
    assert "pass --insecure" in refused.out
    assert meant.exit_code == 0, meant.out


async def test_every_unknown_setting_is_told_at_once() -> None:
    env = {"MODERATION_SERVER__PROT": "1", "MODERATION_NOBODY": "2"}

    ended = await moderation("doctor", "--json", env=env)

    found = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.exit_code == 78
    assert [(one["check"], one["level"]) for one in found] == [("settings", "fail")] * 2
    assert "did you mean MODERATION_SERVER__PORT" in found[1]["what"]


async def test_an_onnxruntime_that_is_not_there_is_told_by_all_who_need_it(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime").mkdir()
    (tmp_path / "onnxruntime" / "__init__.py").write_text("raise ImportError('gone')")

    ended = await moderation(
        "doctor", "--json", env={**variables(tmp_path), "PYTHONPATH": f"{tmp_path}:{PYTHONPATH}"}
    )

    found = [json.loads(line) for line in ended.out.splitlines()]
    failed = {one["check"]: one["what"] for one in found if one["level"] == "fail"}
    assert ended.exit_code == 78
    assert "pip install moderation[cpu]" in failed["runtime"]
    assert "clock" not in failed


def test_two_packages_of_onnxruntime_are_one_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "onnxruntime_gpu-1.31.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.0")
    monkeypatch.syspath_prepend(tmp_path)

    *_, finding = runtime.look(settings_of())

    assert finding.level is Level.FAIL
    assert finding.what.startswith("onnxruntime-gpu 1.31.0 and onnxruntime ")
    assert "moderation[cpu]" in finding.cure


def test_the_first_check_that_fails_decides_how_it_ends() -> None:
    def check(exit_code: Exit) -> Check:
        return Check("one", lambda settings: [], exit_code)

    bad, fair = broken("a", "b", "c"), doubtful("a", "b", "c")

    assert exit_code_of([(check(Exit.CONFIG), fair), (check(Exit.CONFIG), good("a"))]) == 0
    assert exit_code_of([(check(Exit.CONFIG), fair), (check(Exit.UNAVAILABLE), bad)]) == 69
    assert exit_code_of([(check(Exit.CONFIG), bad), (check(Exit.UNAVAILABLE), bad)]) == 78


def test_a_check_that_fails_itself_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def ill(_: object) -> list[Finding]:
        raise ZeroDivisionError("a bug")

    table = (
        Check("ill", ill, Exit.CONFIG),
        Check("well", lambda settings: [good("fine")], Exit.CONFIG),
    )
    monkeypatch.setattr(checks, "CHECKS", table)

    first, second = (finding for _, finding in examine(settings_of()))

    assert first.what == "the check itself failed: ZeroDivisionError: a bug"
    assert second == good("fine")


def test_the_page_tells_of_every_check_in_their_order() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operating.md").read_text()
    table = page.partition("| check | what it looks at |")[2].partition("\n\n")[0]

    assert re.findall(r"^\| (\w.*?) \|", table, re.MULTILINE) == [one.name for one in CHECKS]
