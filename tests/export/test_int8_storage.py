"""Weights stored as int8: nearly the same answers, and nothing left to do at run time."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.starter.int8_storage import MIN_WEIGHTS, store_as_int8
from tests.adapters.encoders.bundles import OPSET

CHANNELS = 320
"""Its square is above the size from which weights are stored as int8."""


def a_model(
    operator: str,
    weight: np.ndarray,
    *,
    weight_first: bool = False,
    input_type: int = TensorProto.FLOAT,
    input_rank: int = 2,
    output_rank: int = 2,
) -> onnx.ModelProto:
    """A graph of one operator: x and the weight in, y out."""
    x = helper.make_tensor_value_info("x", input_type, [f"x{axis}" for axis in range(input_rank)])
    y = helper.make_tensor_value_info(
        "y", TensorProto.FLOAT, [f"y{axis}" for axis in range(output_rank)]
    )
    inputs = ["weight", "x"] if weight_first else ["x", "weight"]
    node = helper.make_node(operator, inputs, ["y"])
    graph = helper.make_graph(
        [node], "graph", [x], [y], [numpy_helper.from_array(weight, "weight")]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def answer(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return np.asarray(session.run(["y"], {"x": x})[0])


def random_weight(*shape: int) -> np.ndarray:
    """Channels of very different size, each of which needs a scale of its own."""
    weight = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    return weight * np.geomspace(0.001, 10, shape[0], dtype=np.float32).reshape(
        -1, *[1] * (len(shape) - 1)
    )


def a_product() -> tuple[onnx.ModelProto, np.ndarray]:
    model = a_model("MatMul", np.ascontiguousarray(random_weight(CHANNELS, CHANNELS).T))
    return model, np.random.default_rng(4).normal(size=(5, CHANNELS)).astype(np.float32)


def a_convolution() -> tuple[onnx.ModelProto, np.ndarray]:
    model = a_model("Conv", random_weight(CHANNELS, 32, 3, 3), input_rank=4, output_rank=4)
    return model, np.random.default_rng(4).normal(size=(2, 32, 5, 5)).astype(np.float32)


def a_word_table() -> tuple[onnx.ModelProto, np.ndarray]:
    table = random_weight(CHANNELS, CHANNELS)
    model = a_model("Gather", table, weight_first=True, input_type=TensorProto.INT64, output_rank=3)
    return model, np.array([[3, 319], [0, 7]])


KINDS = {"product": a_product, "convolution": a_convolution, "word table": a_word_table}


@pytest.mark.parametrize("kind", KINDS)
def test_answers_stay_within_the_rounding_of_each_channel(kind: str) -> None:
    model, x = KINDS[kind]()
    before = answer(model, x)
    size_before = model.ByteSize()

    store_as_int8(model)

    onnx.checker.check_model(model)
    after = answer(model, x)
    assert model.ByteSize() < size_before / 3
    assert after.shape == before.shape
    assert float(np.corrcoef(before.ravel(), after.ravel())[0, 1]) > 0.9999
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("kind", ["product", "convolution"])
def test_onnxruntime_restores_weights_at_load_and_not_at_run_time(
    kind: str, tmp_path: Path
) -> None:
    model, _ = KINDS[kind]()
    store_as_int8(model)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "loaded.onnx")

    onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    loaded = onnx.load(tmp_path / "loaded.onnx")
    assert [node.op_type for node in loaded.graph.node] == [model.graph.node[-1].op_type]


def test_small_weights_stay_as_they_are() -> None:
    weight = random_weight(16, 16)
    assert weight.size < MIN_WEIGHTS
    model = a_model("MatMul", weight)
    before = model.SerializeToString(deterministic=True)

    store_as_int8(model)

    assert model.SerializeToString(deterministic=True) == before


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = random_weight(CHANNELS, CHANNELS)
    weight[:, 5] = 0.0
    model = a_model("MatMul", weight)

    store_as_int8(model)

    after = answer(model, np.ones((1, CHANNELS), dtype=np.float32))
    assert np.isfinite(after).all()
    assert after[0, 5] == 0.0
