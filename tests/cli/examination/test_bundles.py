from pathlib import Path

import pytest

from moderation.adapters.encoders.manifest import PARITY_FILE, Manifest
from moderation.cli.examination.bundles import device_finding, look
from moderation.cli.examination.findings import Level
from tests.adapters.encoders.bundles import flip_a_bit
from tests.bundles import clip_bundle, edit_manifest
from tests.cli.examination.patients import levels, settings_of, worst


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return clip_bundle(tmp_path / "bundle")


def without_report(bundle: Path) -> None:
    files = Manifest.load(bundle).files
    edit_manifest(bundle, files={name: one for name, one in files.items() if name != PARITY_FILE})


def test_a_bundle_that_runs_is_told_with_its_device(bundle: Path) -> None:
    found = list(look(settings_of(encoder__bundle=str(bundle))))

    assert levels(found) == [Level.OK, Level.OK]
    assert "tiny-clip" in found[0].what
    assert found[1].what == "it runs on CPUExecutionProvider"


def test_a_changed_file_is_told(bundle: Path) -> None:
    flip_a_bit(bundle / "image.onnx")

    finding = worst(look(settings_of(encoder__bundle=str(bundle))))

    assert finding.level is Level.FAIL
    assert "image.onnx" in finding.what


@pytest.mark.parametrize(("allowed", "level"), [(False, Level.FAIL), (True, Level.WARN)])
def test_a_bundle_that_nobody_compared_is_told(bundle: Path, allowed: bool, level: Level) -> None:
    without_report(bundle)
    settings = settings_of(encoder__bundle=str(bundle), encoder__allow_unverified=allowed)

    finding = worst(look(settings))

    assert finding.level is level
    assert "has no parity report" in finding.what


def test_a_device_that_is_not_there_is_told(bundle: Path) -> None:
    finding = worst(look(settings_of(encoder__bundle=str(bundle), encoder__device="tensorrt")))

    assert finding.level is Level.FAIL
    assert "encoder.device is tensorrt" in finding.what


def test_a_precision_that_does_not_suit_the_device_is_told(tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "half", precision="fp16")

    finding = worst(look(settings_of(encoder__bundle=str(bundle), encoder__device="cpu")))

    assert finding.level is Level.WARN
    assert "slower than fp32" in finding.what


def test_the_second_encoder_is_looked_at_too(bundle: Path) -> None:
    settings = settings_of(encoder__bundle=str(bundle), shadow_encoder__bundle="nobody")

    finding = worst(look(settings))

    assert (finding.level, finding.where) == (Level.FAIL, "shadow_encoder.bundle nobody")


def test_a_gpu_that_lies_idle_is_told_unless_that_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()

    idle, wanted = (
        device_finding(
            settings_of(encoder__device=device), "CPUExecutionProvider", device_files=tmp_path
        )
        for device in ("auto", "cpu")
    )

    assert (idle.level, wanted.level) == (Level.WARN, Level.OK)
    assert f"{tmp_path}/nvidia0" in idle.what
