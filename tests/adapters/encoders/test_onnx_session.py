"""One graph in onnxruntime: what it refuses, and that threads may share it."""

import importlib.metadata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from moderation.adapters.encoders.devices import CPU, CUDA, Device, Tuning
from moderation.adapters.encoders.onnx_session import (
    OnnxSession,
    onnxruntime_name,
    onnxruntime_version,
)
from moderation.core.errors import BundleRejected
from tests.adapters.encoders.bundles import DIM, SIZE_PX, write_image_graph

PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x08builtins\x94."

needs_no_gpu = pytest.mark.skipif(
    CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime can use a GPU"
)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    write_image_graph(tmp_path / "image.onnx")
    return tmp_path / "image.onnx"


def a_session(path: Path, *, threads: int = 1, keep_memory: bool = True) -> OnnxSession:
    return OnnxSession(
        path, device=Device("cpu"), tuning=Tuning(threads=threads, keep_memory=keep_memory)
    )


def random_pixels(n: int) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def mean_colours(pixels: np.ndarray) -> np.ndarray:
    means = pixels.mean(axis=(1, 2), dtype=np.float64)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True))


def test_a_graph_says_its_shapes_by_name(graph: Path) -> None:
    session = a_session(graph)

    assert session.input_shapes == {"pixels": ["n", SIZE_PX, SIZE_PX, 3]}
    assert session.output_shapes == {"embedding": ["n", DIM]}


@pytest.mark.parametrize("threads", [0, 1, 2])
@pytest.mark.parametrize("keep_memory", [True, False])
def test_threads_and_memory_do_not_change_the_answer(
    graph: Path, threads: int, keep_memory: bool
) -> None:
    pixels = random_pixels(5)

    answer = a_session(graph, threads=threads, keep_memory=keep_memory).run(
        "embedding", {"pixels": pixels}
    )

    assert answer.dtype == np.float32
    np.testing.assert_allclose(answer, mean_colours(pixels), rtol=1e-5)


def test_several_threads_may_run_at_once(graph: Path) -> None:
    session = a_session(graph)
    batches = [random_pixels(n) for n in range(1, 30)]

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda batch: session.run("embedding", {"pixels": batch}), batches))

    for batch, answer in zip(batches, answers, strict=True):
        np.testing.assert_allclose(answer, mean_colours(batch), rtol=1e-5)


@pytest.mark.parametrize(
    "content", [b"", b"no graph", PICKLE, b"\x08\x0a" * 50], ids=["empty", "text", "pickle", "tag"]
)
def test_a_file_that_is_no_graph_is_refused(graph: Path, content: bytes) -> None:
    graph.write_bytes(content)

    with pytest.raises(BundleRejected, match=r"image\.onnx: onnxruntime refuses this graph"):
        a_session(graph)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleRejected, match=r"none\.onnx: onnxruntime refuses"):
        a_session(tmp_path / "none.onnx")


@needs_no_gpu
def test_cuda_is_not_silently_replaced_by_the_cpu(graph: Path) -> None:
    with pytest.raises(BundleRejected) as caught:
        OnnxSession(graph, device=Device("cuda"), tuning=Tuning())

    assert str(caught.value) == (
        "encoder.device is cuda:0, but image.onnx would run on CPUExecutionProvider; install "
        "the [gpu] extra and the libraries that CUDAExecutionProvider needs, or set "
        "encoder.device to auto"
    )


@needs_no_gpu
def test_auto_takes_the_cpu_where_there_is_no_gpu(graph: Path) -> None:
    assert OnnxSession(graph, device=Device("auto"), tuning=Tuning()).provider == CPU


def test_the_version_names_the_package_that_is_installed() -> None:
    package, version = onnxruntime_name().split()

    assert importlib.metadata.version(package) == version
    assert onnxruntime_version() == version
