"""Real graphs on the CPU; what only a GPU does is answered by a scripted session."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moderation.adapters.encoders.devices import CPU, CUDA, Device, Tuning
from moderation.adapters.encoders.onnx_session import OnnxSession, OutOfMemory
from moderation.core.errors import BundleRejected
from tests.bundles import DIM, SIZE_PX, clip_bundle

ARENA_FULL = (
    "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
    "MatMul node. bfc_arena.cc:359 Failed to allocate memory for requested buffer of size 1234"
)


class ScriptedSession:
    """Says that it runs on a GPU, and answers or fails as it is told."""

    def __init__(self, *, provider: str = CUDA, fails_with: str = "") -> None:
        self.provider = provider
        self.fails_with = fails_with
        self.bound: dict[str, np.ndarray] = {}

    def __call__(self, *_: object, **__: object) -> "ScriptedSession":
        return self

    def get_providers(self) -> list[str]:
        return [self.provider, CPU]

    def io_binding(self) -> "ScriptedSession":
        return self

    def bind_cpu_input(self, name: str, array: np.ndarray) -> None:
        self.bound[name] = array

    def bind_output(self, name: str) -> None:
        self.output = name

    def run_with_iobinding(self, _: object, options: object) -> None:
        assert options is not None
        if self.fails_with:
            raise RuntimeError(self.fails_with)

    def copy_outputs_to_cpu(self) -> list[np.ndarray]:
        return [np.ones((len(self.bound["pixels"]), DIM), dtype=np.float16)]


def a_session(path: Path, device: Device, **scripted: Any) -> OnnxSession:  # noqa: ANN401 - its fields
    fake = ScriptedSession(**scripted)
    return OnnxSession(path, device=device, tuning=Tuning(threads=1), make_session=fake)


def frames(n: int) -> np.ndarray:
    return np.zeros((n, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    return clip_bundle(tmp_path / "bundle") / "image.onnx"


@pytest.mark.parametrize("spinning", [True, False])
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_a_graph_runs_on_the_cpu(graph: Path, device: Any, spinning: bool) -> None:  # noqa: ANN401
    tuning = Tuning(threads=1, spinning=spinning)

    session = OnnxSession(graph, device=Device(device), tuning=tuning)

    assert session.provider == CPU
    assert session.run("embedding", {"pixels": frames(3)}).shape == (3, DIM)
    assert session.input_shapes["pixels"] == ["n", SIZE_PX, SIZE_PX, 3]
    assert session.output_shapes["embedding"] == ["n", DIM]


@pytest.mark.parametrize("kind", ["cuda", "tensorrt"])
def test_a_demanded_device_that_would_not_run_is_refused(graph: Path, kind: Any) -> None:  # noqa: ANN401
    with pytest.raises(BundleRejected, match=f"encoder.device is {kind}:0, but image.onnx would"):
        OnnxSession(graph, device=Device(kind), tuning=Tuning())


def test_a_session_that_fell_back_from_tensorrt_to_cuda_is_refused(graph: Path) -> None:
    with pytest.raises(BundleRejected, match="would run on CUDAExecutionProvider"):
        a_session(graph, Device("tensorrt"), provider=CUDA)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.onnx").write_bytes(b"no graph")

    with pytest.raises(BundleRejected, match="onnxruntime refuses this graph"):
        OnnxSession(tmp_path / "image.onnx", device=Device("cpu"), tuning=Tuning())


def test_on_a_gpu_inputs_are_bound_and_answers_are_float32(graph: Path) -> None:
    session = a_session(graph, Device("cuda"))

    answer = session.run("embedding", {"pixels": frames(2)})

    assert session.provider == CUDA
    assert answer.shape == (2, DIM)
    assert answer.dtype == np.float32


@pytest.mark.parametrize(
    "words",
    [
        ARENA_FULL,
        "CUDA failure 2: out of memory ; GPU=0 ; hostname=gpu-1",
        "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
        "CUDNN failure 2: CUDNN_STATUS_ALLOC_FAILED",
        "std::bad_alloc",
    ],
)
def test_a_full_device_is_told_from_other_failures(graph: Path, words: str) -> None:
    session = a_session(graph, Device("cuda"), fails_with=words)

    with pytest.raises(OutOfMemory):
        session.run("embedding", {"pixels": frames(1)})


def test_another_failure_is_passed_on_as_it_is(graph: Path) -> None:
    session = a_session(graph, Device("cuda"), fails_with="CUDA failure 719: launch failure")

    with pytest.raises(RuntimeError, match="launch failure"):
        session.run("embedding", {"pixels": frames(1)})
