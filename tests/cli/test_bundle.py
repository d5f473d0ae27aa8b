"""`moderation bundle`: exporting through a model of three colours, verifying, describing."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from export.pretrained.errors import ExportError
from moderation.adapters.encoders.manifest import (
    PARITY_FILE,
    REFERENCE_FILE,
    Manifest,
    Source,
    sha256_of,
)
from moderation.adapters.encoders.parity import ParityReport, Precision
from moderation.adapters.encoders.registry import load_encoder
from moderation.cli.bundle_export import Tell, export_bundle, steps, write_verified
from moderation.cli.exits import CommandError, Exit
from moderation.cli.main import cli
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import SIZE_PX, manifest_of, write_bundle

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
FAITHFUL: Mapping[Precision, float] = {"fp32": 0.0, "fp16": 0.0, "int8": 0.0}
LICENSED = Source(name="colours", version="1", license="mit")


class ColourModel:
    """Writes the bundle of colours beside a reference that differs from it by `error`."""

    def __init__(self, error: Mapping[Precision, float] = FAITHFUL) -> None:
        self._error = error

    def write(self, directory: Path, *, precision: Precision, name: str, tell: Tell) -> Manifest:
        tell(f"writing {name}")
        write_bundle(directory)
        (directory / PARITY_FILE).unlink()
        write_reference(directory / REFERENCE_FILE, error=self._error[precision])
        manifest = manifest_of(directory, name=name, precision=precision, sources=(LICENSED,))
        digests = {**manifest.files, REFERENCE_FILE: sha256_of(directory / REFERENCE_FILE)}
        manifest = manifest.model_copy(update={"files": digests})
        manifest.save(directory)
        return manifest


class BrokenModel:
    def write(self, directory: Path, *, precision: Precision, name: str, tell: Tell) -> Manifest:
        tell(f"writing {name}")
        (directory / "half.onnx").write_bytes(b"half")
        raise ExportError("config.json: something that no server does")


def quietly(_: str) -> None:
    """For tests that look at what is left."""


def write_reference(path: Path, *, error: float = 0.0) -> None:
    pictures = [a_png(colour) for colour in COLOURS.values()]
    vectors = np.eye(3, dtype=np.float32) + np.float32(error)
    np.savez(
        path,
        picture_bytes=np.frombuffer(b"".join(pictures), dtype=np.uint8),
        picture_sizes=[len(one) for one in pictures],
        texts=np.array([name.encode() for name in COLOURS]),
        pixels=np.stack([a_square(colour) for colour in COLOURS.values()]),
        image_embeddings=vectors / np.linalg.norm(vectors, axis=1, keepdims=True),
        text_embeddings=np.eye(3, dtype=np.float32),
    )


def a_square(colour: tuple[int, int, int]) -> np.ndarray:
    return np.full((SIZE_PX, SIZE_PX, 3), colour, dtype=np.uint8)


def a_png(colour: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(a_square(colour)).save(buffer, "PNG")
    return buffer.getvalue()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["bundle", *arguments], standalone_mode=False)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    out = tmp_path / "colours"
    write_verified(ColourModel(), out, precision="fp32", name="colours", tell=quietly)
    return out


def test_an_export_is_verified_and_loads(bundle: Path) -> None:
    encoder = load_encoder(str(bundle), device="cpu")

    assert encoder.info.name == "colours-fp32"
    assert ParityReport.load(bundle).failing == ()


def test_int8_that_is_not_accurate_falls_back_to_fp32(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inaccurate = ColourModel({**FAITHFUL, "int8": 0.2})

    report = write_verified(
        inaccurate, tmp_path / "out", precision="int8", name="colours", tell=quietly
    )

    assert (report.precision, report.failing) == ("fp32", ())
    assert Manifest.load(tmp_path / "out").name == "colours-fp32"
    assert "falling back to fp32" in capsys.readouterr().out


def test_fp32_that_is_not_accurate_is_kept_but_does_not_load(tmp_path: Path) -> None:
    inaccurate = ColourModel({**FAITHFUL, "fp32": 0.2})

    report = write_verified(
        inaccurate, tmp_path / "out", precision="fp32", name="colours", tell=quietly
    )

    assert "image_cosine" in [check.name for check in report.failing]
    with pytest.raises(BundleRejected, match="its parity report fails"):
        load_encoder(str(tmp_path / "out"), device="cpu")


def test_an_export_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ExportError):
        write_verified(BrokenModel(), tmp_path / "out", precision="fp32", name="b", tell=quietly)

    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_taken_is_left_alone(bundle: Path) -> None:
    with pytest.raises(CommandError, match="exists already; name another") as refused:
        export_bundle("any/model", bundle, precision="fp32", revision=None, name=None)

    assert refused.value.exit_code == Exit.USAGE


def test_an_unknown_precision_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    ran = run("export", "any/model", str(tmp_path / "out"), "--precision", "int4")

    assert isinstance(ran.exception, CommandError)
    assert "unknown precision 'int4'; use one of fp32, fp16, int8" in str(ran.exception)


def test_verifying_needs_only_the_bundle(bundle: Path) -> None:
    ran = run("verify", str(bundle), "--json")

    report = json.loads(ran.stdout)
    assert ran.return_value == Exit.ALLOW
    assert (report["pictures"], report["texts"]) == (3, 3)
    assert all(check["passed"] for check in report["checks"])


def test_a_failing_report_is_stored_and_the_bundle_no_longer_loads(bundle: Path) -> None:
    write_reference(bundle / REFERENCE_FILE, error=0.2)
    manifest = Manifest.load(bundle)
    digests = {**manifest.files, REFERENCE_FILE: sha256_of(bundle / REFERENCE_FILE)}
    manifest.model_copy(update={"files": digests}).save(bundle)

    ran = run("verify", str(bundle))

    assert ran.return_value == Exit.CONFIG
    assert "FAILS" in ran.stdout
    with pytest.raises(BundleRejected, match="its parity report fails: image_cosine"):
        load_encoder(str(bundle), device="cpu")


def test_a_report_is_kept_out_of_the_bundle_when_asked(bundle: Path) -> None:
    before = (bundle / PARITY_FILE).stat().st_mtime_ns

    ran = run("verify", str(bundle), "--no-store")

    assert ran.return_value == Exit.ALLOW
    assert (bundle / PARITY_FILE).stat().st_mtime_ns == before


def test_a_bundle_without_a_reference_says_what_to_compare_it_with(tmp_path: Path) -> None:
    write_bundle(tmp_path)

    ran = run("verify", str(tmp_path))

    assert "has no reference.npz to compare with; name the model with --against" in str(
        ran.exception
    )


def test_own_pictures_need_the_original(bundle: Path) -> None:
    ran = run("verify", str(bundle), "--images", str(bundle))

    assert "--images needs --against" in str(ran.exception)


def test_an_altered_bundle_is_not_measured(bundle: Path) -> None:
    (bundle / "text.onnx").write_bytes(b"other")

    assert isinstance(run("verify", str(bundle)).exception, BundleRejected)


def test_the_starter_is_verified_by_its_digests() -> None:
    ran = run("verify", "starter")

    assert ran.return_value == Exit.ALLOW
    assert "every digest is right; it has no original" in ran.stdout


def test_info_tells_where_a_bundle_comes_from_and_how_near_it_is(bundle: Path) -> None:
    shown = run("info", str(bundle)).stdout

    assert Manifest.load(bundle).encoder_id in shown
    assert "license mit" in shown
    assert "image_cosine" in shown


def test_info_says_when_nobody_has_verified(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    manifest_of(tmp_path).save(tmp_path)

    assert "not verified: there is no parity report" in run("info", str(tmp_path)).stdout


def test_info_of_a_starter_has_its_notice() -> None:
    assert "This is the starter encoder" in run("info", "starter").stdout


def test_info_as_json_has_manifest_id_and_report(bundle: Path) -> None:
    described = json.loads(run("info", str(bundle), "--json").stdout)

    assert described["encoder_id"] == Manifest.load(bundle).encoder_id
    assert described["parity"]["encoder_id"] == described["encoder_id"]


def test_info_of_a_damaged_manifest_is_refused(bundle: Path) -> None:
    (bundle / "manifest.json").write_text("{}")

    assert isinstance(run("info", str(bundle)).exception, BundleRejected)


def test_each_step_is_a_line_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with steps() as tell:
        tell("loading")
        tell("writing")

    assert capsys.readouterr().err == "loading\nwriting\n"


def test_a_terminal_shows_what_is_done_and_how_long_it_took(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    with steps() as tell:
        tell("loading")
        tell("writing")

    shown = capsys.readouterr().err
    assert "loading" in shown
    assert "0:00:00" in shown


def test_an_export_tells_its_steps(tmp_path: Path) -> None:
    told: list[str] = []

    write_verified(
        ColourModel(), tmp_path / "out", precision="fp32", name="colours", tell=told.append
    )

    assert told == ["writing colours-fp32", "comparing with the original"]
