"""A whole bundle in miniature: three dimensions, real ONNX graphs, a tokenizer of five words.

The picture's embedding is its mean colour, the text's is the sum of its words'
colours, both of unit norm: "red" lies where red pictures lie.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers

from moderation.adapters.encoders.manifest import (
    ImageGraph,
    Manifest,
    ScoreDefaults,
    TextGraph,
    TokenizerFile,
    sha256_of,
)
from moderation.adapters.encoders.parity import LIMITS, ParityReport, judge

SIZE_PX = 8
DIM = 3
MAX_TOKENS = 6
OPSET = 18
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "red": 2, "green": 3, "blue": 4}
COLOURS = np.array([[9, 9, 9], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
"""By token id. Padding has a colour, so that a mask that is ignored is noticed."""

Size = int | str


def write_bundle(directory: Path, **changes: Any) -> Manifest:  # noqa: ANN401 - manifest fields
    """A bundle that loads, or one whose manifest was changed in these fields."""
    directory.mkdir(parents=True, exist_ok=True)
    write_image_graph(directory / "image.onnx")
    write_text_graph(directory / "text.onnx")
    write_tokenizer(directory / "tokenizer.json")
    manifest = manifest_of(directory, **changes)
    return passing_report(manifest).store(directory, manifest)


def passing_report(manifest: Manifest) -> ParityReport:
    """A report in which every measure is perfect."""
    return ParityReport(
        encoder_id=manifest.encoder_id,
        precision=manifest.precision,
        runtime="a test",
        pictures=1,
        texts=1,
        checks=judge(dict.fromkeys(LIMITS, 1.0), manifest.precision),
    )


def manifest_of(directory: Path, **changes: Any) -> Manifest:  # noqa: ANN401 - manifest fields
    """A manifest that describes the files that lie there."""
    files = ("image.onnx", "text.onnx", "tokenizer.json")
    fields: dict[str, Any] = {
        "name": "colours",
        "family": "colours",
        "dim": DIM,
        "image": ImageGraph(file="image.onnx", size_px=SIZE_PX),
        "text": TextGraph(file="text.onnx", max_tokens=MAX_TOKENS),
        "tokenizer": TokenizerFile(file="tokenizer.json"),
        "score": ScoreDefaults(scale=1.0, bias=0.5, temperature=0.1),
        "files": {file: sha256_of(directory / file) for file in files},
    }
    return Manifest(**(fields | changes))


def write_image_graph(path: Path, *, batch: Size = "n") -> None:
    """Pixels uint8[n, 8, 8, 3] to their mean colour."""
    pixels = helper.make_tensor_value_info(
        "pixels", TensorProto.UINT8, [batch, SIZE_PX, SIZE_PX, 3]
    )
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats", "axes"], ["colour"], keepdims=0),
        helper.make_node("LpNormalization", ["colour"], ["embedding"], axis=1, p=2),
    ]
    write_graph(path, [pixels], nodes, {"axes": np.array([1, 2])}, batch=batch)


def write_endless_image_graph(path: Path) -> None:
    """As `write_image_graph`, but a picture with a white pixel is counted over for years."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIZE_PX, SIZE_PX, 3])
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], keepdims=0),
        helper.make_node("Equal", ["brightest", "white"], ["is_white"]),
        helper.make_node("Cast", ["is_white"], ["factor"], to=TensorProto.INT64),
        helper.make_node("Mul", ["factor", "years"], ["rounds"]),
        helper.make_node("Loop", ["rounds", "", "nothing"], ["counted"], body=_counting()),
        helper.make_node("Mul", ["counted", "nothing"], ["zero"]),
        helper.make_node("ReduceMean", ["floats", "axes"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "zero"], ["colour"]),
        helper.make_node("LpNormalization", ["colour"], ["embedding"], axis=1, p=2),
    ]
    weights = {
        "white": np.array(255, np.float32),
        "years": np.array(10**15),
        "nothing": np.array(0, np.float32),
        "axes": np.array([1, 2]),
    }
    write_graph(path, [pixels], nodes, weights)


def _counting() -> onnx.GraphProto:
    def scalar(name: str, kind: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    return helper.make_graph(
        [
            helper.make_node("Identity", ["more"], ["more_still"]),
            helper.make_node("Add", ["count", "count"], ["next"]),
        ],
        "counting",
        [
            scalar("round", TensorProto.INT64),
            scalar("more", TensorProto.BOOL),
            scalar("count", TensorProto.FLOAT),
        ],
        [scalar("more_still", TensorProto.BOOL), scalar("next", TensorProto.FLOAT)],
    )


def write_text_graph(path: Path) -> None:
    """Ids and mask int64[n, tokens] to the sum of the words' colours."""
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
        for name in ("ids", "mask")
    ]
    nodes = [
        helper.make_node("Gather", ["colours", "ids"], ["words"]),
        helper.make_node("Cast", ["mask"], ["shown"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["shown", "last"], ["column"]),
        helper.make_node("Mul", ["words", "column"], ["seen"]),
        helper.make_node("ReduceSum", ["seen", "tokens_axis"], ["colour"], keepdims=0),
        helper.make_node("LpNormalization", ["colour"], ["embedding"], axis=1, p=2),
    ]
    weights = {"colours": COLOURS, "last": np.array([2]), "tokens_axis": np.array([1])}
    write_graph(path, inputs, nodes, weights)


def write_graph(
    path: Path,
    inputs: Sequence[onnx.ValueInfoProto],
    nodes: Sequence[onnx.NodeProto],
    weights: Mapping[str, np.ndarray],
    *,
    batch: Size = "n",
) -> None:
    """Any graph whose output is called embedding."""
    output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [batch, DIM])
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "graph", inputs, [output], initializers)
    opset = helper.make_opsetid("", OPSET)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=10), path)


def write_tokenizer(path: Path) -> None:
    """A tokenizer that knows three colours."""
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(path))


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
