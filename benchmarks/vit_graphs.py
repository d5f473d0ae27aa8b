"""CLIP image towers of true size with random weights, and matrix products, as ONNX graphs.

Written with `onnx` alone, so that a machine with a card needs neither torch nor a
download. Speed depends on shapes, not on what weights mean.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 9
MICROSOFT = "com.microsoft"
QUICK_GELU_SLOPE = 1.702
DTYPES = {"fp32": np.float32, "fp16": np.float16}


@dataclass(frozen=True)
class Tower:
    """The shape of a vision transformer."""

    size_px: int
    patch_px: int
    width: int
    layers: int
    heads: int
    dim: int

    @property
    def tokens(self) -> int:
        """Patches, and the class token."""
        return (self.size_px // self.patch_px) ** 2 + 1

    @property
    def flops(self) -> float:
        """Of one picture: two for each multiplication in a matrix product."""
        per_token = 2 * 12 * self.width**2 * self.layers
        attention = 2 * 2 * self.tokens**2 * self.width * self.layers
        patches = 2 * (self.tokens - 1) * 3 * self.patch_px**2 * self.width
        return self.tokens * per_token + attention + patches + 2 * self.width * self.dim


TOWERS = {
    "tiny": Tower(size_px=32, patch_px=8, width=32, layers=2, heads=2, dim=16),
    "vit-b32": Tower(size_px=224, patch_px=32, width=768, layers=12, heads=12, dim=512),
    "vit-l14": Tower(size_px=224, patch_px=14, width=1024, layers=24, heads=16, dim=768),
}


class _Graph:
    """Nodes and weights as they are added."""

    def __init__(self, dtype: type, seed: int = 0) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._dtype = dtype
        self._random = np.random.default_rng(seed)

    def node(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        made = helper.make_node(kind, list(inputs), [name], domain=domain, **attributes)
        self.nodes.append(made)
        return name

    def ints(self, *values: int) -> str:
        return self._add(np.array(values, dtype=np.int64))

    def number(self, value: float) -> str:
        return self._add(np.array(value, dtype=self._dtype))

    def random(self, *shape: int) -> str:
        scale = 1.0 / np.sqrt(shape[0] if len(shape) > 1 else 1e4)
        values = self._random.standard_normal(shape, dtype=np.float32) * scale
        return self._add(values.astype(self._dtype))

    def ones(self, size: int) -> str:
        return self._add(np.ones(size, dtype=self._dtype))

    def linear(self, rows: str, n_in: int, n_out: int) -> str:
        return self.node(
            "Add", self.node("MatMul", rows, self.random(n_in, n_out)), self.random(n_out)
        )

    def norm(self, rows: str, width: int) -> str:
        scale, shift = self.ones(width), self.random(width)
        return self.node("LayerNormalization", rows, scale, shift, axis=-1, epsilon=1e-5)

    def save(
        self, path: Path, inputs: list[onnx.ValueInfoProto], output: str, shape: list[int | str]
    ) -> None:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self._dtype))
        outputs = [helper.make_tensor_value_info(output, kind, shape)]
        graph = helper.make_graph(self.nodes, "benchmark", inputs, outputs, self.weights)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        path.write_bytes(model.SerializeToString())

    def _add(self, values: np.ndarray) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name


def write_tower(tower: Tower, path: Path, *, dtype: type, fused: bool) -> str:
    """Pixels uint8[n, size, size, 3] to unit vectors; the output's name.

    `fused` writes each attention as one node, as the runtime's own optimiser would.
    """
    graph = _Graph(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    hidden = graph.norm(_tokens(graph, tower, kind), tower.width)
    for _ in range(tower.layers):
        hidden = graph.node("Add", hidden, _attention(graph, tower, hidden, fused=fused))
        hidden = graph.node("Add", hidden, _perceptron(graph, tower, hidden))
    first = graph.node("Gather", hidden, graph.ints(0), axis=1)
    row = graph.node("Reshape", graph.norm(first, tower.width), graph.ints(-1, tower.width))
    projected = graph.node("MatMul", row, graph.random(tower.width, tower.dim))
    length = graph.node("ReduceL2", projected, graph.ints(-1))
    output = graph.node("Div", projected, length)
    size = tower.size_px
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", size, size, 3])
    graph.save(path, [pixels], output, ["n", tower.dim])
    return output


def write_products(size: int, count: int, path: Path, *, dtype: type) -> str:
    """A chain of square matrix products, of which one number comes out; the output's name."""
    graph = _Graph(dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    rows, matrix = "rows", graph.random(size, size)
    for _ in range(count):
        rows = graph.node("MatMul", rows, matrix)
    output = graph.node("ReduceMax", rows, graph.ints(0, 1), keepdims=0)
    graph.save(path, [helper.make_tensor_value_info("rows", kind, [size, size])], output, [])
    return output


def write_int8_product(size: int, path: Path) -> str:
    """One product of uint8 and int8 matrices, as a quantised graph has them; the output's name."""
    random = np.random.default_rng(3)
    matrix = random.integers(-127, 128, (size, size), dtype=np.int8)
    nodes = [
        helper.make_node("MatMulInteger", ["rows", "matrix"], ["product"]),
        helper.make_node("ReduceMax", ["product", "axes"], ["largest"], keepdims=0),
    ]
    made = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info("rows", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("largest", TensorProto.INT32, [])],
        [
            numpy_helper.from_array(matrix, "matrix"),
            numpy_helper.from_array(np.array([0, 1], dtype=np.int64), "axes"),
        ],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    onnx.save(helper.make_model(made, opset_imports=opsets, ir_version=IR_VERSION), path)
    return "largest"


def _tokens(graph: _Graph, tower: Tower, kind: int) -> str:
    side, patch = tower.size_px // tower.patch_px, tower.patch_px
    tiles = graph.node("Reshape", "pixels", graph.ints(-1, side, patch, side, patch, 3))
    tiles = graph.node("Transpose", tiles, perm=[0, 1, 3, 2, 4, 5])
    flat = graph.node("Reshape", tiles, graph.ints(-1, side * side, patch * patch * 3))
    scaled = graph.node("Mul", graph.node("Cast", flat, to=kind), graph.number(1 / 256))
    patches = graph.linear(scaled, patch * patch * 3, tower.width)
    # Any row of each picture times zero: a class token for as many pictures as there are.
    zero = graph.node(
        "Mul",
        graph.node("Slice", patches, graph.ints(0), graph.ints(1), graph.ints(1)),
        graph.number(0.0),
    )
    token = graph.node("Add", zero, graph.random(tower.width))
    return graph.node("Concat", token, patches, axis=1)


def _attention(graph: _Graph, tower: Tower, hidden: str, *, fused: bool) -> str:
    width, heads = tower.width, tower.heads
    normed = graph.norm(hidden, width)
    query, key, value = (graph.linear(normed, width, width) for _ in range(3))
    if fused:
        mixed = graph.node(
            "MultiHeadAttention", query, key, value, domain=MICROSOFT, num_heads=heads
        )
        return graph.linear(mixed, width, width)
    split = graph.ints(0, -1, heads, width // heads)

    def per_head(rows: str, perm: list[int]) -> str:
        return graph.node("Transpose", graph.node("Reshape", rows, split), perm=perm)

    logits = graph.node("MatMul", per_head(query, [0, 2, 1, 3]), per_head(key, [0, 2, 3, 1]))
    scaled = graph.node("Mul", logits, graph.number((width // heads) ** -0.5))
    weights = graph.node("Softmax", scaled, axis=-1)
    mixed = graph.node("MatMul", weights, per_head(value, [0, 2, 1, 3]))
    joined = graph.node("Transpose", mixed, perm=[0, 2, 1, 3])
    return graph.linear(graph.node("Reshape", joined, graph.ints(0, -1, width)), width, width)


def _perceptron(graph: _Graph, tower: Tower, hidden: str) -> str:
    width = tower.width
    wide = graph.linear(graph.norm(hidden, width), width, 4 * width)
    gate = graph.node("Sigmoid", graph.node("Mul", wide, graph.number(QUICK_GELU_SLOPE)))
    return graph.linear(graph.node("Mul", wide, gate), 4 * width, width)
