"""Models of transformers become bundles that load and answer alike, in every precision."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

pytest.importorskip("transformers", reason="needs the [export] extra")

import torch
import transformers
from safetensors.torch import load_file, save_file

from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.parity import ParityReport
from moderation.adapters.encoders.registry import load_encoder
from moderation.cli.bundle_export import export_bundle
from moderation.cli.exits import CommandError, Exit
from moderation.cli.main import cli
from tests.export.models import MINIATURES, miniature_clip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

CASES = (
    ("clip", "fp32"),
    ("clip", "fp16"),
    ("clip", "int8"),
    ("legacy clip", "fp32"),
    ("siglip", "fp32"),
    ("siglip", "fp16"),
    ("siglip", "int8"),
)
OUTLIER = 300.0


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("models")
    return {name: make(root / name) for name, make in MINIATURES.items()}


@pytest.fixture(scope="session")
def clip_bundle(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "clip"
    assert export(models["clip"], out) == Exit.ALLOW
    return out


def export(source: Path, out: Path, precision: str = "fp32") -> Exit:
    return export_bundle(str(source), out, precision=precision, revision=None, name=None)


def load(bundle: Path) -> OnnxDualEncoder:
    return load_encoder(str(bundle), device="cpu")


def edit(directory: Path, file: str, **changes: Any) -> None:  # noqa: ANN401 - JSON
    path = directory / file
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(("model", "precision"), CASES)
def test_a_model_becomes_a_bundle_that_answers_alike(
    models: dict[str, Path], tmp_path: Path, model: str, precision: str
) -> None:
    out = tmp_path / "bundle"

    outcome = export(models[model], out, precision)

    assert outcome == Exit.ALLOW
    assert ParityReport.load(out).failing == ()
    assert Manifest.load(out).precision == precision
    encoder = load(out)
    size = encoder.info.pixels.size_px
    pixels = np.random.default_rng(0).integers(0, 256, (5, size, size, 3), dtype=np.uint8)
    vectors = np.concatenate([encoder.encode_images(pixels), encoder.encode_texts(["a", "b c"])])
    assert vectors.shape == (7, encoder.info.dim)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1.0, abs=1e-3)


def operators(bundle: Path, graph: str) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load(bundle / graph).graph.node)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
@pytest.mark.parametrize("model", ["clip", "siglip"])
def test_attention_in_lower_precisions_is_one_node_a_layer(
    models: dict[str, Path], tmp_path: Path, model: str, precision: str
) -> None:
    export(models[model], tmp_path / "fused", precision)
    export(models[model], tmp_path / "fp32", "fp32")

    fused = operators(tmp_path / "fused", "image.onnx")
    plain = operators(tmp_path / "fp32", "image.onnx")

    assert fused["MultiHeadAttention"] == plain["Softmax"] > 0
    assert fused["Softmax"] == plain["MultiHeadAttention"] == 0


def test_a_text_is_embedded_as_transformers_embeds_it_alone(
    models: dict[str, Path], clip_bundle: Path
) -> None:
    model = transformers.CLIPModel.from_pretrained(models["clip"]).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(models["clip"])
    texts = ["a photo of the cat", "", "gun", "a very long " * 40]

    ours = load(clip_bundle).encode_texts(texts)

    for text, vector in zip(texts, ours, strict=True):
        inputs = tokenizer([text], truncation=True, max_length=77, return_tensors="pt")
        with torch.inference_mode():
            theirs = model.get_text_features(**inputs).pooler_output[0].numpy()
        assert vector @ theirs / np.linalg.norm(theirs) > 0.99999


def test_a_manifest_tells_where_the_weights_came_from(clip_bundle: Path) -> None:
    (source,) = Manifest.load(clip_bundle).sources

    assert (source.name, source.version, source.license) == ("clip", "local", "mit")
    assert source.sha256 is not None


def test_scores_start_from_the_models_own_scale(clip_bundle: Path) -> None:
    score = Manifest.load(clip_bundle).score

    assert score.scale == pytest.approx(np.exp(2.6592), rel=1e-3)
    assert (score.bias, score.temperature) == (2.6, 1.2)


def test_the_same_export_twice_is_the_same_encoder(
    models: dict[str, Path], clip_bundle: Path, tmp_path: Path
) -> None:
    export(models["clip"], tmp_path / "again")

    assert load(tmp_path / "again").info.encoder_id == load(clip_bundle).info.encoder_id


def test_int8_that_is_not_accurate_falls_back_to_fp32(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = miniature_clip(tmp_path / "model")
    with_outliers(model / "model.safetensors")

    outcome = export(model, tmp_path / "bundle-int8", "int8")

    assert outcome == Exit.ALLOW
    assert "falling back to fp32" in capsys.readouterr().out
    assert Manifest.load(tmp_path / "bundle-int8").precision == "fp32"


def with_outliers(weights: Path) -> None:
    """One channel that dwarfs the others takes all of int8's steps."""
    tensors = load_file(weights)
    for name, tensor in tensors.items():
        if "vision_model.encoder" in name and name.endswith("layer_norm1.weight"):
            tensor[0] *= OUTLIER
    save_file(tensors, weights, metadata={"format": "pt"})


def test_verify_needs_neither_torch_nor_the_model(clip_bundle: Path) -> None:
    ran = CliRunner().invoke(
        cli, ["bundle", "verify", str(clip_bundle), "--json"], standalone_mode=False
    )

    report = json.loads(ran.stdout)
    assert ran.return_value == Exit.ALLOW
    assert all(check["passed"] for check in report["checks"])


def test_verify_against_another_model_fails_and_the_bundle_no_longer_loads(
    models: dict[str, Path], clip_bundle: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for file in clip_bundle.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    other = miniature_clip(tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file(
        {
            name: tensor.flip(0).contiguous() if tensor.ndim else tensor
            for name, tensor in tensors.items()
        },
        other / "model.safetensors",
        metadata={"format": "pt"},
    )

    ran = CliRunner().invoke(
        cli, ["bundle", "verify", str(bundle), "--against", str(other)], standalone_mode=False
    )

    assert ran.return_value == Exit.CONFIG
    assert "FAILS" in ran.stdout
    with pytest.raises(Exception, match="its parity report fails: image_cosine"):
        load(bundle)


def test_info_describes_a_bundle(clip_bundle: Path) -> None:
    ran = CliRunner().invoke(
        cli, ["bundle", "info", str(clip_bundle), "--json"], standalone_mode=False
    )

    described = json.loads(ran.stdout)
    assert described["encoder_id"] == Manifest.load(clip_bundle).encoder_id
    assert described["parity"]["checks"]


REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "image_mean: None does not have": ("preprocessor_config.json", {"image_mean": None}),
    "size: makes 32 px, the model takes 64 px": (
        "preprocessor_config.json",
        {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}},
    ),
    "model_type 'bert' is not supported; supported: clip, siglip": (
        "config.json",
        {"model_type": "bert"},
    ),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_cannot_be_exported_is_refused_and_leaves_nothing(
    tmp_path: Path, message: str
) -> None:
    model = miniature_clip(tmp_path / "model")
    file, changes = REFUSED[message]
    edit(model, file, **changes)

    with pytest.raises(CommandError, match=message):
        export(model, tmp_path / "bundle")

    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("text_config", {"eos_token_id": 5}, "eos_token_id is 5, but texts end with"),
        ("vision_config", {"hidden_act": "relu"}, "hidden_act 'relu' is not known; known: quick"),
    ],
)
def test_a_configuration_that_would_be_computed_wrongly_is_refused(
    tmp_path: Path, part: str, changes: dict[str, Any], message: str
) -> None:
    model = miniature_clip(tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    edit(model, "config.json", **{part: {**config[part], **changes}})

    with pytest.raises(CommandError, match=message):
        export(model, tmp_path / "bundle")

    assert not (tmp_path / "bundle").exists()


def test_a_place_that_is_taken_is_left_alone(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="exists already"):
        export(models["clip"], tmp_path)


def test_an_unknown_precision_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="unknown precision 'int4'; use one of fp32, fp16"):
        export(models["clip"], tmp_path / "bundle", "int4")
