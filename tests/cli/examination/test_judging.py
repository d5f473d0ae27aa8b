from pathlib import Path

import pytest

from moderation.adapters.drift_references import DriftReferences, references_of
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.policy_yaml.binding import write_binding
from moderation.cli.examination.findings import Finding, Level
from moderation.cli.examination.judging import MOST_TOLD, look
from moderation.settings import Settings
from tests.bundles import clip_bundle
from tests.cli.examination.patients import POLICY, levels, policies_in, settings_of, worst
from tests.core.test_drift import a_reference

TEST = """\
texts:
  a quiet lake: {flagged_by: fire}
"""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clip_bundle(tmp_path_factory.mktemp("bundles") / "bundle")


def seen(settings: Settings) -> list[Finding]:
    """What was found but for lint's warnings, of which the tiny encoder gives many."""
    return [one for one in look(settings) if not one.what.startswith("W")]


def patient(tmp_path: Path, bundle: Path, **flags: object) -> Settings:
    return settings_of(
        encoder__bundle=str(bundle),
        policies__directory=policies_in(tmp_path / "policies"),
        policies__cache_directory=tmp_path / "cache",
        **flags,
    )


def test_policies_that_a_server_would_take_are_told_with_their_version(
    tmp_path: Path, bundle: Path
) -> None:
    found = seen(patient(tmp_path, bundle))

    assert levels(found) == [Level.OK, Level.OK]
    assert found[0].what.startswith("1 policies would be active, version ")
    assert not (tmp_path / "cache").exists()


def test_a_mistake_is_told_with_its_place(tmp_path: Path, bundle: Path) -> None:
    settings = patient(tmp_path, bundle)
    policies_in(tmp_path / "policies", POLICY.replace("0.99", "9"))

    finding = worst(seen(settings))

    assert finding.level is Level.FAIL
    assert finding.where == f"{tmp_path}/policies/fire.yaml:8:22"


def test_an_expired_policy_is_told(tmp_path: Path, bundle: Path) -> None:
    settings = patient(tmp_path, bundle)
    (tmp_path / "policies" / "old.yaml").write_text(
        POLICY.replace("id: fire", "id: old\nexpires: 2020-01-01")
    )

    found = list(look(settings))

    assert any(one.level is Level.WARN and one.what.startswith("W109") for one in found)


@pytest.mark.parametrize(
    ("rule", "level"), [("refuse", Level.FAIL), ("warn", Level.WARN), ("ignore", Level.WARN)]
)
def test_thresholds_of_another_encoder_are_told(
    tmp_path: Path, bundle: Path, rule: str, level: Level
) -> None:
    settings = patient(tmp_path, bundle, policies__encoder_binding=rule)
    write_binding(tmp_path / "policies", encoder_id="a" * 64, name="another")

    (finding,) = (one for one in look(settings) if "encoder another" in one.what)

    assert finding.level is level
    assert finding.where.endswith("policies/encoder.lock")


@pytest.mark.parametrize(("required", "level"), [(True, Level.FAIL), (False, Level.WARN)])
def test_a_mistake_in_a_test_is_told_once(
    tmp_path: Path, bundle: Path, required: bool, level: Level
) -> None:
    settings = patient(tmp_path, bundle, policies__require_tests=required)
    (tmp_path / "policies" / "tests").mkdir()
    (tmp_path / "policies" / "tests" / "fire.yaml").write_text("text: {}")

    (finding,) = (one for one in look(settings) if "unknown key" in one.what)

    assert finding.level is level
    assert finding.where.startswith("tests/fire.yaml:")


@pytest.mark.parametrize(("required", "level"), [(True, Level.FAIL), (False, Level.WARN)])
def test_a_test_that_fails_is_told(
    tmp_path: Path, bundle: Path, required: bool, level: Level
) -> None:
    settings = patient(tmp_path, bundle, policies__require_tests=required)
    (tmp_path / "policies" / "tests").mkdir()
    (tmp_path / "policies" / "tests" / "fire.yaml").write_text(TEST)

    finding = worst(seen(settings))

    assert finding.level is level
    assert "the test of 'a quiet lake' fails" in finding.what
    assert finding.where.startswith("tests/fire.yaml:")


def test_references_for_drift_that_compare_nothing_are_told(tmp_path: Path, bundle: Path) -> None:
    settings = patient(tmp_path, bundle)
    encoder_id = Manifest.load(bundle).encoder_id
    DriftReferences(tmp_path / "policies").save(
        a_reference(policy_id="fire", encoder_id=encoder_id)
    )
    (references_of(tmp_path / "policies", encoder_id) / "torn.json").write_text("{")

    found = [one for one in seen(settings) if one.level is Level.WARN]

    assert [one.where for one in found] == ["drift", "policy fire"]
    assert found[1].cure == "moderation drift reference fire"


def test_tests_that_are_required_and_missing_are_told(tmp_path: Path, bundle: Path) -> None:
    finding = worst(seen(patient(tmp_path, bundle, policies__require_tests=True)))

    assert finding.level is Level.FAIL
    assert "there is no policy test" in finding.what


def test_of_many_findings_the_command_shows_the_others(tmp_path: Path, bundle: Path) -> None:
    settings = patient(tmp_path, bundle)
    for number in range(MOST_TOLD + 2):
        bare = POLICY.replace("contrast:\n  - a candle\n", "").replace("fire", f"f{number}")
        (tmp_path / "policies" / f"f{number}.yaml").write_text(bare)

    found = list(look(settings))

    (rest,) = (one for one in found if one.what.startswith("and "))
    assert rest.level is Level.WARN
    assert "moderation policy lint" in rest.cure


def test_without_an_encoder_they_cannot_be_looked_at(tmp_path: Path) -> None:
    finding = worst(seen(patient(tmp_path, tmp_path / "gone")))

    assert (finding.level, finding.cure) == (Level.FAIL, "mend the encoder first")
