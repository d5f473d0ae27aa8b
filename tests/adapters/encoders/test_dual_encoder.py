"""Two graphs as one encoder, and the bundles whose parts do not fit together."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from moderation.adapters.encoders.devices import Tuning
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.manifest import ImageGraph, Manifest, TextGraph
from moderation.core.calibration import Calibration
from moderation.core.content import Crop, Interpolation, PixelSpec
from moderation.core.errors import BundleRejected
from moderation.core.scoring import ScoreScale
from tests.adapters.encoders.bundles import (
    COLOURS,
    DIM,
    MAX_TOKENS,
    SIZE_PX,
    manifest_of,
    write_bundle,
    write_graph,
    write_image_graph,
)
from tests.contracts import ImageEncoderContract, TextEncoderContract

RED = np.array([1.0, 0.0, 0.0])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write_bundle(tmp_path)
    return tmp_path


def an_encoder(bundle: Path, manifest: Manifest) -> OnnxDualEncoder:
    return OnnxDualEncoder(bundle, manifest, devices="cpu", tuning=Tuning(threads=1))


@pytest.fixture
def encoder(bundle: Path) -> OnnxDualEncoder:
    return an_encoder(bundle, manifest_of(bundle))


class TestImageContract(ImageEncoderContract):
    @pytest.fixture
    def pixel_spec(self, encoder: OnnxDualEncoder) -> PixelSpec:
        return encoder.info.pixels


class TestTextContract(TextEncoderContract):
    TEXTS = ("red", "green and blue, blue", "x")


def test_pictures_and_texts_meet_in_one_space(encoder: OnnxDualEncoder) -> None:
    red = np.zeros((1, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    red[..., 0] = 200

    assert encoder.encode_images(red)[0] == pytest.approx(RED)
    assert encoder.encode_texts(["red"])[0] == pytest.approx(RED)


def test_padding_does_not_change_a_text(encoder: OnnxDualEncoder) -> None:
    together = encoder.encode_texts(["red", "red green blue red green blue"])

    assert together[0] == pytest.approx(RED)


def test_a_family_without_a_mask_gets_none(bundle: Path) -> None:
    ids = helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", MAX_TOKENS])
    nodes = [
        helper.make_node("Gather", ["colours", "tokens"], ["words"]),
        helper.make_node("ReduceSum", ["words", "axis"], ["colour"], keepdims=0),
        helper.make_node("LpNormalization", ["colour"], ["embedding"], axis=1, p=2),
    ]
    weights = {"colours": COLOURS, "axis": np.array([1])}
    write_graph(bundle / "text.onnx", [ids], nodes, weights)
    text = TextGraph(
        file="text.onnx", ids="tokens", mask=None, max_tokens=MAX_TOKENS, pad_to_max=True
    )

    embeddings = an_encoder(bundle, manifest_of(bundle, text=text)).encode_texts(["red", "blue"])

    padding = 9 * (MAX_TOKENS - 1)
    expected = np.array([padding + 1, padding, padding])
    assert embeddings[0] == pytest.approx(expected / np.linalg.norm(expected))


def test_the_encoder_says_what_it_is(bundle: Path) -> None:
    image = ImageGraph(
        file="image.onnx",
        size_px=SIZE_PX,
        crop="squash",
        crop_fraction=0.9,
        interpolation="bilinear",
    )
    manifest = manifest_of(bundle, image=image, notice="sees colours only", is_starter=True)

    info = an_encoder(bundle, manifest).info

    assert (info.name, info.family, info.dim) == ("colours", "colours", DIM)
    assert info.encoder_id == manifest.encoder_id
    assert info.pixels == PixelSpec(SIZE_PX, Crop.SQUASH, 0.9, Interpolation.BILINEAR)
    assert info.scale == ScoreScale(1.0, Calibration(0.5, 0.1), "mean")
    assert info.device == "CPUExecutionProvider"
    assert info.notice == "sees colours only"
    assert info.is_starter


def test_warming_up_runs_every_size(encoder: OnnxDualEncoder) -> None:
    encoder.warm_up()

    assert len(encoder.encode_images(np.ones((8, SIZE_PX, SIZE_PX, 3), dtype=np.uint8))) == 8


def image(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of ImageGraph
    fields = {"file": "image.onnx", "size_px": SIZE_PX}
    return {"image": ImageGraph.model_validate(fields | changes)}


def text(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of TextGraph
    fields = {"file": "text.onnx", "max_tokens": MAX_TOKENS}
    return {"text": TextGraph.model_validate(fields | changes)}


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "dimension": (
        {"dim": 4},
        r"image\.onnx: embedding has the shape \[any, 3\] in the graph, \[any, 4\] by the manifest",
    ),
    "picture size": (
        image(size_px=9),
        r"image\.onnx: pixels has the shape \[any, 8, 8, 3\] in the graph, \[any, 9, 9, 3\]",
    ),
    "name of the pixels": (image(input="x"), r"image\.onnx: .* the same inputs: pixels, x"),
    "name of the image output": (image(output="y"), r"image\.onnx: .* the graph lacks: y"),
    "name of the ids": (text(ids="tokens"), r"text\.onnx: .* the same inputs: ids, tokens"),
    "no mask": (text(mask=None), r"text\.onnx: .* the same inputs: mask"),
    "name of the text output": (text(output="y"), r"text\.onnx: .* the graph lacks: y"),
    "graphs swapped": (image(file="text.onnx"), r"text\.onnx: .* the same inputs: ids, mask, pix"),
    "padding": (text(pad_id=77), r"tokenizer\.json: the manifest says that 77 pads"),
}


@pytest.mark.parametrize(("changes", "message"), LIES.values(), ids=LIES)
def test_a_manifest_that_lies_is_refused(
    bundle: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(BundleRejected, match=message):
        an_encoder(bundle, manifest_of(bundle, **changes))


def test_a_graph_for_one_batch_size_only_is_refused(bundle: Path) -> None:
    write_image_graph(bundle / "image.onnx", batch=1)

    with pytest.raises(BundleRejected, match=r"pixels has the shape \[1, 8, 8, 3\] in the graph"):
        an_encoder(bundle, manifest_of(bundle))
