"""Tiny bundles with real graphs: made in milliseconds, loaded and run as large ones are.

The image tower looks at the mean colour of sixteen tiles, the text tower at which
bytes a text has; both go through fixed random matrices. Nothing in them means
anything, but different pictures and different texts differ.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from moderation.adapters.encoders.manifest import (
    ImageGraph,
    Manifest,
    ScoreDefaults,
    TextGraph,
    TokenizerFile,
    sha256_of,
)
from moderation.adapters.encoders.parity import LIMITS, Check, ParityReport

SIZE_PX = 32
DIM = 16
TILES = 4
MAX_TOKENS = 64
OPSET = 18
IR_VERSION = 9
TOKENS = 257
"""One for each byte, and one for padding."""


def clip_bundle(directory: Path, **changes: Any) -> Path:  # noqa: ANN401 - the manifest's fields
    """A bundle that pads to the longest text and has a mask."""
    text = TextGraph(file="text.onnx", max_tokens=MAX_TOKENS)
    return _bundle(directory, text, seed=1, **{"family": "clip", "name": "tiny-clip", **changes})


def siglip_bundle(directory: Path, **changes: Any) -> Path:  # noqa: ANN401 - the manifest's fields
    """A bundle that pads every text to the limit, has no mask, and squashes pictures."""
    text = TextGraph(file="text.onnx", mask=None, max_tokens=MAX_TOKENS, pad_to_max=True)
    named = {"family": "siglip", "name": "tiny-siglip", **changes}
    return _bundle(directory, text, seed=2, crop="squash", **named)


FAMILIES: Mapping[str, Callable[..., Path]] = {"clip": clip_bundle, "siglip": siglip_bundle}


def edit_manifest(directory: Path, **changes: Any) -> Manifest:  # noqa: ANN401 - its fields
    """Rewrite some fields of a bundle's manifest."""
    edited = Manifest.load(directory).model_copy(update=changes)
    edited.save(directory)
    return edited


def _bundle(
    directory: Path,
    text: TextGraph,
    *,
    seed: int,
    crop: str = "center",
    **fields: Any,  # noqa: ANN401 - the manifest's fields
) -> Path:
    directory.mkdir(parents=True)
    random = np.random.default_rng(seed)
    image = ImageGraph(file="image.onnx", size_px=SIZE_PX, crop=crop)
    (directory / image.file).write_bytes(_image_graph(random).SerializeToString())
    graph = _text_graph(random, has_mask=text.mask is not None)
    (directory / text.file).write_bytes(graph.SerializeToString())
    _tokenizer().save(str(directory / "tokenizer.json"))
    manifest = Manifest(
        **{
            "dim": DIM,
            "image": image,
            "text": text,
            "tokenizer": TokenizerFile(file="tokenizer.json"),
            "score": ScoreDefaults(scale=4.0, bias=0.0, temperature=1.0),
            "files": {
                name: sha256_of(directory / name)
                for name in (image.file, text.file, "tokenizer.json")
            },
            **fields,
        }
    )
    manifest.save(directory)
    _good_report(manifest).store(directory, manifest)
    return directory


def _good_report(manifest: Manifest) -> ParityReport:
    """Such a bundle has no original but itself."""
    checks = [Check(name=name, value=1.0, required=limit["fp32"]) for name, limit in LIMITS.items()]
    return ParityReport(
        encoder_id=manifest.encoder_id,
        precision=manifest.precision,
        runtime="none",
        pictures=0,
        texts=0,
        checks=tuple(checks),
    )


def _image_graph(random: np.random.Generator) -> onnx.ModelProto:
    step = SIZE_PX // TILES
    constants: dict[str, np.ndarray] = {
        "grid": np.array([-1, TILES, step, TILES, step, 3], dtype=np.int64),
        "inside": np.array([2, 4], dtype=np.int64),
        "flat": np.array([-1, TILES * TILES * 3], dtype=np.int64),
        "middle": np.array(127.5, dtype=np.float32),
        "matrix": random.normal(size=(TILES * TILES * 3, DIM)).astype(np.float32),
        "bias": random.normal(size=(DIM,), scale=50.0).astype(np.float32),
    }
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["floats", "middle"], ["centred"]),
        helper.make_node("Reshape", ["centred", "grid"], ["tiles"]),
        helper.make_node("ReduceMean", ["tiles", "inside"], ["means"], keepdims=0),
        helper.make_node("Reshape", ["means", "flat"], ["row"]),
        helper.make_node("MatMul", ["row", "matrix"], ["mapped"]),
        helper.make_node("Add", ["mapped", "bias"], ["shifted"]),
        helper.make_node("LpNormalization", ["shifted"], ["embedding"], axis=-1),
    ]
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])
    return _model(nodes, [pixels], constants)


def _text_graph(random: np.random.Generator, *, has_mask: bool) -> onnx.ModelProto:
    constants: dict[str, np.ndarray] = {
        "table": random.normal(size=(TOKENS, DIM)).astype(np.float32),
        "along": np.array([1], dtype=np.int64),
        "last": np.array([-1], dtype=np.int64),
    }
    nodes = [helper.make_node("Gather", ["table", "ids"], ["rows"])]
    inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "tokens"])]
    if has_mask:
        inputs.append(helper.make_tensor_value_info("mask", TensorProto.INT64, ["n", "tokens"]))
        nodes += [
            helper.make_node("Cast", ["mask"], ["kept"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["kept", "last"], ["column"]),
            helper.make_node("Mul", ["rows", "column"], ["counted"]),
        ]
    nodes += [
        helper.make_node(
            "ReduceSum", ["counted" if has_mask else "rows", "along"], ["sum"], keepdims=0
        ),
        helper.make_node("LpNormalization", ["sum"], ["embedding"], axis=-1),
    ]
    return _model(nodes, inputs, constants)


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    constants: Mapping[str, np.ndarray],
) -> onnx.ModelProto:
    used = {name for node in nodes for name in node.input}
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])
    tensors = [
        numpy_helper.from_array(one, name) for name, one in constants.items() if name in used
    ]
    graph = helper.make_graph(nodes, "tiny", inputs, [output], tensors)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION)
    onnx.checker.check_model(model)
    return model


def _tokenizer() -> Tokenizer:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<pad>": 0, **{letter: place for place, letter in enumerate(alphabet, start=1)}}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
