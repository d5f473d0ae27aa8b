"""`moderation policy lint` in every form, on the shipped policies and on broken ones."""

import json
from pathlib import Path

import pytest

from moderation.adapters.calibration_files import CalibrationFiles
from moderation.adapters.encoders.registry import describe_encoder
from moderation.adapters.policy_yaml.binding import write_binding
from moderation.cli.lint_forms import MEANING
from tests.builders import a_calibration
from tests.cli.command import Ended, moderation

ROOT = Path(__file__).parents[2]
GOOD = """\
id: fire
title: Fire
phrases:
  - a burning house
  - a forest fire
contrast:
  - a candle
  - a sunset
thresholds: {review: 0.5}
"""


def policies(tmp_path: Path, text: str = GOOD) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir(exist_ok=True)
    (directory / "fire.yaml").write_text(text)
    return directory


async def lint(directory: Path, *arguments: str, tmp_path: Path, **settings: str) -> Ended:
    """`settings` are those of policies."""
    settings["cache_directory"] = str(tmp_path / "cache")
    env = {f"MODERATION_POLICIES__{name.upper()}": value for name, value in settings.items()}
    return await moderation("policy", "lint", "--policies", directory, *arguments, env=env)


async def test_good_policies_end_with_0(tmp_path: Path) -> None:
    ended = await lint(policies(tmp_path), "--strict", tmp_path=tmp_path)

    assert (ended.exit_code, ended.out, ended.err) == (0, "0 errors, 0 warnings\n", "")


async def test_the_shipped_policies_have_only_what_the_starter_cannot_see(tmp_path: Path) -> None:
    ended = await lint(ROOT / "policies", tmp_path=tmp_path)

    assert ended.exit_code == 0
    lines = ended.out.splitlines()
    assert lines[-1] == "0 errors, 5 warnings"
    assert all(" warning W107: " in line for line in lines[:-1])


async def test_warnings_are_told_with_their_place_and_cure(tmp_path: Path) -> None:
    text = GOOD.replace("  - a candle\n", "  - a burning house at night\n")
    directory = policies(tmp_path, text.replace("forest fire", "лесной пожар"))

    ended = await lint(directory, tmp_path=tmp_path)
    strict = await lint(directory, "--strict", tmp_path=tmp_path)

    assert (
        f"{directory}/fire.yaml:5:5: warning W106: phrases 'a лесной пожар': is not in" in ended.out
    )
    assert ended.out.splitlines()[-1].startswith("0 errors, ")
    assert (ended.exit_code, strict.exit_code) == (0, 1)


async def test_a_directory_without_its_option_is_told_how_it_is_named(tmp_path: Path) -> None:
    ended = await moderation("policy", "lint", tmp_path)

    assert ended.exit_code == 64
    assert "; policies are named with --policies DIRECTORY; `moderation policy lint" in ended.err


async def test_a_file_that_is_not_read_because_of_its_name_is_told(tmp_path: Path) -> None:
    directory = policies(tmp_path)
    (directory / "smoke.yaml.txt").write_text(GOOD)
    (directory / "notes.txt").write_text("for people")

    ended = await lint(directory, tmp_path=tmp_path)

    told = f"{directory}/smoke.yaml.txt: warning W114: is not read: its name must end in .yaml or "
    assert ended.out == f"{told}.yml; rename it to smoke.yaml, or remove it\n0 errors, 1 warning\n"


async def test_what_would_be_refused_is_an_error(tmp_path: Path) -> None:
    directory = policies(tmp_path, GOOD.replace("title", "titel"))

    ended = await lint(directory, tmp_path=tmp_path)

    assert ended.exit_code == 1
    assert f"{directory}/fire.yaml:2:1: error E001: unknown key 'titel'; did you mean" in ended.out
    assert "2 errors, 0 warnings" in ended.out


async def test_what_has_one_cure_is_mended(tmp_path: Path) -> None:
    repeated = GOOD.replace("  - a forest fire\n", "  - a forest fire\n  - A burning house\n")
    directory = policies(tmp_path, repeated.replace("title", "titel"))

    ended = await lint(directory, "--fix", tmp_path=tmp_path)

    assert ended.exit_code == 0
    assert ended.out.count(": mended: ") == 2
    assert (directory / "fire.yaml").read_text() == GOOD


def calibrate(directory: Path, policy_id: str = "fire") -> Path:
    """As if for an earlier wording."""
    encoder, _ = describe_encoder("starter")
    calibration = a_calibration(policy_id=policy_id, encoder_id=encoder.encoder_id)
    return CalibrationFiles(directory, encoder.scale).save(calibration)


@pytest.mark.parametrize(
    ("setting", "exit_code", "told"),
    [
        (
            "refuse",
            1,
            "error E001: its calibration was made for an earlier wording, which "
            "policies.stale_calibration refuses; run",
        ),
        ("mark", 0, "warning W108: its calibration was made for an earlier wording; run"),
    ],
)
async def test_a_stale_calibration_is_what_the_settings_make_of_it(
    tmp_path: Path, setting: str, exit_code: int, told: str
) -> None:
    directory = policies(tmp_path, GOOD.replace("a sunset", "лесной пожар"))
    calibrate(directory)

    ended = await lint(directory, tmp_path=tmp_path, stale_calibration=setting)

    assert ended.exit_code == exit_code
    assert f"{directory}/fire.yaml:3:1: {told}" in ended.out
    assert " warning W106: " in ended.out


@pytest.mark.parametrize(
    ("rule", "exit_code", "told"), [("refuse", 1, "error E001"), ("warn", 0, "warning W115")]
)
async def test_thresholds_of_another_encoder_are_what_the_settings_make_of_them(
    tmp_path: Path, rule: str, exit_code: int, told: str
) -> None:
    directory = policies(tmp_path, GOOD.replace("a sunset", "лесной пожар"))
    lock = write_binding(directory, encoder_id="a" * 64, name="vit-l14")

    ended = await lint(directory, tmp_path=tmp_path, encoder_binding=rule)

    assert ended.exit_code == exit_code
    assert f"{lock}: {told}: these thresholds were set for encoder vit-l14 (aaaaaaaa" in ended.out
    assert " warning W106: " in ended.out


async def test_thresholds_of_another_encoder_may_be_ignored(tmp_path: Path) -> None:
    directory = policies(tmp_path)
    write_binding(directory, encoder_id="a" * 64, name="vit-l14")

    ended = await lint(directory, "--strict", tmp_path=tmp_path, encoder_binding="ignore")

    assert (ended.exit_code, ended.out) == (0, "0 errors, 0 warnings\n")


async def test_a_calibration_of_a_policy_that_is_gone_is_told(tmp_path: Path) -> None:
    directory = policies(tmp_path)
    path = calibrate(directory, "smoke")

    ended = await lint(directory, tmp_path=tmp_path)

    told = f"{path}: warning W116: there is no policy 'smoke' for this calibration; remove the file"
    assert ended.exit_code == 0
    assert ended.out == f"{told}, or put the policy back\n0 errors, 1 warning\n"


async def test_a_calibration_that_cannot_be_read_is_told_with_its_path(tmp_path: Path) -> None:
    directory = policies(tmp_path)
    path = calibrate(directory)
    path.write_text("{")

    ended = await lint(directory, tmp_path=tmp_path)

    assert ended.out.startswith(f"{path}: error E001: is not valid JSON")


async def test_programs_get_json_and_sarif(tmp_path: Path) -> None:
    directory = policies(tmp_path, GOOD.replace("title", "titel"))

    as_json = await lint(directory, "--format", "json", tmp_path=tmp_path)
    sarif = await lint(directory, "--format", "sarif", tmp_path=tmp_path)

    for one in json.loads(as_json.out)["findings"]:
        assert (one["code"], one["level"]) == ("E001", "error")
        assert one["file"] == f"{directory}/fire.yaml"
    report = json.loads(sarif.out)
    assert report["version"] == "2.1.0"
    (run,) = report["runs"]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == MEANING.keys()
    results = run["results"]
    assert {one["level"] for one in results} == {"error"}
    assert results[-1]["locations"][0]["physicalLocation"]["region"]["startLine"] == 2


async def test_github_gets_annotations_on_one_line_each(tmp_path: Path) -> None:
    directory = policies(tmp_path, GOOD.replace("a sunset", "100 % огонь"))

    ended = await lint(directory, "--format", "github", tmp_path=tmp_path)

    line = next(line for line in ended.out.splitlines() if "W106" in line)
    assert line.startswith("::warning file=")
    assert ",title=W106,line=8,col=5::contrast '100 %25 огонь': is not in English" in line


async def test_mistakes_in_the_tests_are_told_and_mended_too(tmp_path: Path) -> None:
    directory = policies(tmp_path, GOOD.replace("title", "titel"))
    (directory / "tests").mkdir()
    test = directory / "tests" / "fire.yaml"  # as the policy that it is for
    test.write_text("texts:\n  a candle: {acton: allow}\n")

    told = await lint(directory, tmp_path=tmp_path)
    mended = await lint(directory, "--fix", tmp_path=tmp_path)

    assert told.exit_code == 1
    assert f"{directory}/fire.yaml:2:1: error E001: unknown key 'titel'" in told.out
    assert f"{test}:2:14: error E002: texts.'a candle': unknown key 'acton'" in told.out
    assert f"{test}:2:14: mended: " in mended.out
    assert mended.exit_code == 0
    assert test.read_text() == "texts:\n  a candle: {action: allow}\n"


async def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    ended = await lint(tmp_path / "nowhere", tmp_path=tmp_path)

    assert ended.exit_code == 1
    assert "error E001: there is no such directory" in ended.out


async def test_an_unknown_encoder_is_told(tmp_path: Path) -> None:
    ended = await lint(policies(tmp_path), "--encoder", "nope", tmp_path=tmp_path)

    assert ended.exit_code == 78
    assert "nope" in ended.err


@pytest.mark.parametrize("words", [100, 140])
async def test_a_phrase_longer_than_the_encoder_reads_is_told(tmp_path: Path, words: int) -> None:
    long = " ".join("ab"[n % 2] for n in range(words))
    directory = policies(tmp_path, GOOD.replace("a forest fire", long))

    ended = await lint(directory, tmp_path=tmp_path)

    assert ("W101" in ended.out) == (words == 140)


def test_the_page_names_every_code() -> None:
    page = (ROOT / "docs" / "editing-policies.md").read_text(encoding="utf-8")

    assert [code for code in MEANING if f"| `{code}` |" not in page] == []
