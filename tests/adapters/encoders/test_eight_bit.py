"""Eight-bit products are exact on the processor that this runs on, whichever way it takes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from moderation.adapters.encoders import onnx_session
from moderation.adapters.encoders.devices import Device, Tuning
from moderation.adapters.encoders.eight_bit import DEPTH, PRODUCT, overflows
from moderation.adapters.encoders.onnx_session import OnnxSession

LAYERS, ROWS = 2, 5


def test_the_graph_that_is_written_out_is_a_product_of_bytes() -> None:
    model = onnx.load_from_string(PRODUCT)

    assert [node.op_type for node in model.graph.node] == ["MatMulInteger"]
    assert [value.type.tensor_type.elem_type for value in model.graph.input] == [
        TensorProto.UINT8,
        TensorProto.INT8,
    ]


def test_a_sum_of_pairs_in_16_bits_is_noticed() -> None:
    def in_32_bits(_: None, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        return [inputs["a"].astype(np.int32) @ inputs["b"].astype(np.int32)]

    def pairs_in_16_bits(_: None, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        a, b = (inputs[name].astype(np.int32) for name in ("a", "b"))
        pairs = [a[:, k : k + 2] @ b[k : k + 2] for k in range(0, DEPTH, 2)]
        return [np.clip(pairs, -(2**15), 2**15 - 1).sum(axis=0)]

    assert not overflows(in_32_bits)
    assert overflows(pairs_in_16_bits)


@pytest.mark.parametrize("overflow", [None, True], ids=["as found", "taken to overflow"])
def test_products_are_exact_as_an_exported_graph_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, overflow: bool | None
) -> None:
    weights = np.where(np.random.default_rng(0).random((LAYERS, DEPTH, DEPTH)) < 0.5, -127, 127)
    path = tmp_path / "image.onnx"
    path.write_bytes(int8_layers(weights.astype(np.int8)))
    if overflow is not None:
        monkeypatch.setattr(onnx_session, "_products_overflow", lambda: overflow)
    rows = np.random.default_rng(1).integers(0, 256, (ROWS, DEPTH)).astype(np.float32)
    rows[:, 0], rows[:, 1] = 0, 255  # so that a step of the rows' own rounding is 1

    answer = OnnxSession(path, device=Device("cpu"), tuning=Tuning()).run("y", {"x": rows})

    np.testing.assert_allclose(answer, (rows @ weights).sum(axis=0), rtol=1e-5)


def int8_layers(weights: NDArray[np.int8]) -> bytes:
    """The sum of the products of x, each as export/pretrained/precision.py writes it."""
    nodes, weight_tensors = [], []
    for layer, matrix in enumerate(weights):
        q, scale, zero, product, counted, w = (f"{name}{layer}" for name in "qszpcw")
        nodes += [
            helper.make_node("DynamicQuantizeLinear", ["x"], [q, scale, zero]),
            helper.make_node("MatMulInteger", [q, w, zero], [product]),
            helper.make_node("Cast", [product], [counted], to=TensorProto.FLOAT),
            helper.make_node("Mul", [counted, scale], [f"y{layer}"]),
        ]
        weight_tensors.append(numpy_helper.from_array(matrix, w))
    nodes.append(helper.make_node("Sum", [f"y{layer}" for layer in range(len(weights))], ["y"]))
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", DEPTH]) for name in ("x", "y")
    )
    graph = helper.make_graph(nodes, "layers", [x], [y], weight_tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())
