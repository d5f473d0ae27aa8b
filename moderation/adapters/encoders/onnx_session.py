"""One ONNX graph in a session: the only place that knows onnxruntime."""

import importlib.metadata
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from moderation.core.errors import BundleRejected

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError as missing:
    raise ImportError(
        "onnxruntime is not installed: choose `pip install moderation[cpu]`, or "
        "`pip install moderation[gpu]` on a machine with an NVIDIA card; never both, since "
        "the two packages overwrite each other"
    ) from missing

Device = Literal["auto", "cpu", "cuda"]

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
PROVIDERS: Mapping[str, list[str]] = {"auto": [CUDA, CPU], "cpu": [CPU], "cuda": [CUDA, CPU]}
LOAD_ERRORS: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    OSError,
    # onnxruntime's own exceptions share no base below Exception.
    *(
        kind
        for kind in vars(native).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    ),
)
QUIET = 3
"""Errors only: without a GPU, trying CUDA under `auto` would print a page of warnings."""


class OnnxSession:
    """A graph that is loaded and ready to run; several threads may call `run` at once."""

    def __init__(
        self, path: Path, *, device: Device, threads: int, keep_memory: bool = True
    ) -> None:
        """Load the graph; `threads` of one run, 0 for every core.

        With `keep_memory`, what a run took stays for the next one: the starter encoder's
        batches of 1 to 8 pictures ran 1.7 times as fast, in 204 instead of 146 MB.

        Raises BundleRejected if onnxruntime refuses it, or if CUDA was demanded and
        would not run: onnxruntime itself falls back to the CPU without a word.
        """
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = QUIET
        options.enable_cpu_mem_arena = keep_memory
        # A pattern is planned and kept for every shape seen, and batches come in many: over
        # sizes 1 to 8 the starter encoder's pictures took 293 MB with patterns, 204 without.
        options.enable_mem_pattern = False
        available = onnxruntime.get_available_providers()
        wanted = [provider for provider in PROVIDERS[device] if provider in available]
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), sess_options=options, providers=wanted
            )
        except LOAD_ERRORS as error:
            raise BundleRejected(f"{path.name}: onnxruntime refuses this graph: {error}") from error
        self.provider: str = self._session.get_providers()[0]
        if device == "cuda" and self.provider != CUDA:
            raise BundleRejected(
                f"encoder.device is cuda, but {path.name} would run on {self.provider}; "
                "install the [gpu] extra and the CUDA libraries, or set encoder.device to auto"
            )

    @property
    def input_shapes(self) -> dict[str, list[Any]]:
        """Shape by name of the input; a dimension that may vary is a string or None."""
        return {node.name: node.shape for node in self._session.get_inputs()}

    @property
    def output_shapes(self) -> dict[str, list[Any]]:
        """Shape by name of the output; a dimension that may vary is a string or None."""
        return {node.name: node.shape for node in self._session.get_outputs()}

    def run(self, output: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run the graph for one of its outputs."""
        (result,) = self._session.run([output], dict(inputs))
        return np.asarray(result, dtype=np.float32)


def onnxruntime_version() -> str:
    """The version of whichever onnxruntime package is installed, with the package's name."""
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return f"{package} {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"onnxruntime {onnxruntime.__version__}"
