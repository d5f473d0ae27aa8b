"""Models of the true size, with random weights: that they fit, and how long they take.

ViT-B/32 takes about a minute and a half on two busy cores and 2.2 GB, ViT-L/14 seven minutes and
4.4 GB, so that it runs only when asked for: MODERATION_TEST_LARGE=1.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("transformers", reason="needs the [export] extra")

from moderation.adapters.encoders.parity import ParityReport
from moderation.adapters.encoders.registry import load_encoder
from moderation.cli.bundle_export import export_bundle
from moderation.cli.exits import Exit
from tests.export.models import clip_of_size

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

Sizes = Mapping[str, int]
BASE_32: tuple[Sizes, Sizes] = ({}, {})
LARGE_14: tuple[Sizes, Sizes] = (
    {
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "patch_size": 14,
    },
    {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12},
)
when_asked_for = pytest.mark.skipif(
    "MODERATION_TEST_LARGE" not in os.environ, reason="set MODERATION_TEST_LARGE=1: takes minutes"
)


@pytest.mark.parametrize(
    ("sizes", "dim"),
    [
        pytest.param(BASE_32, 512, id="ViT-B/32"),
        pytest.param(LARGE_14, 768, id="ViT-L/14", marks=when_asked_for),
    ],
)
def test_a_model_of_true_size_is_exported_verified_and_loaded(
    tmp_path: Path, sizes: tuple[Sizes, Sizes], dim: int
) -> None:
    vision, text = sizes
    model = clip_of_size(tmp_path / "model", vision=vision, text=text)

    outcome = export_bundle(
        str(model), tmp_path / "bundle", precision="int8", revision=None, name=None
    )

    assert outcome == Exit.ALLOW
    report = ParityReport.load(tmp_path / "bundle")
    assert (report.precision, report.failing) == ("int8", ())
    encoder = load_encoder(str(tmp_path / "bundle"), device="cpu")
    assert encoder.encode_images(np.zeros((1, 224, 224, 3), np.uint8)).shape == (1, dim)
