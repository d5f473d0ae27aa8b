"""One ONNX graph in a session: the only place that knows onnxruntime."""

import contextlib
import importlib.metadata
import io
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moderation.adapters.encoders import eight_bit
from moderation.adapters.encoders.devices import CPU, PLANS, Device, Tuning, providers_for
from moderation.adapters.encoders.runs import Runs
from moderation.core.errors import BundleRejected

# Since 1.32 onnxruntime reports its use to its makers, and keeps a database of what it could not
# send yet. It looks at this variable once, when it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

try:
    import onnxruntime
    from onnxruntime.capi import onnxruntime_pybind11_state as native
except ImportError as missing:
    raise ImportError(
        "onnxruntime is not installed: choose `pip install moderation[cpu]`, or "
        "`pip install moderation[gpu]` on a machine with an NVIDIA card; never both, since "
        "the two packages overwrite each other"
    ) from missing

ERRORS: tuple[type[Exception], ...] = (
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
MEMORY_WORDS = (
    "failed to allocate memory",
    "out of memory",
    "status_alloc_failed",
    "bad_alloc",
    "bad allocation",
)
"""How onnxruntime, CUDA, cuBLAS, cuDNN and C++ word it: there is no error type for it."""
QUIET = 3
"""Errors only: without a GPU, trying CUDA under `auto` would print a page of warnings."""
SPINNING = "session.intra_op.allow_spinning"
EXACT_PRODUCTS = "session.x64quantprecision"
"""Asks for the slower way, which processors that do not need it would take too."""
OTHER_FILES = "session.model_external_initializers_file_folder_path"
NOWHERE = "/dev/null"
"""Weights in a second file would escape the bundle's digests: there is none to be found."""

MakeSession = Callable[..., Any]


class OutOfMemory(Exception):
    """The device has no memory left for a batch of this size."""


class OnnxSession:
    """A graph that is loaded and ready to run; several threads may call `run` at once."""

    def __init__(
        self,
        path: Path,
        *,
        device: Device,
        tuning: Tuning,
        frame: tuple[str, int] = ("", 0),
        make_session: MakeSession | None = None,
    ) -> None:
        """Load the graph; `frame` as `providers_for` has it.

        Raises BundleRejected if onnxruntime refuses the graph, or if a device was
        demanded and would not run: onnxruntime itself falls back to the CPU without a word.
        """
        make = make_session or onnxruntime.InferenceSession
        available = onnxruntime.get_available_providers()
        wanted = providers_for(device, tuning, available, frame=frame)
        if wanted[0][0] != CPU:
            _preload_cuda()
        try:
            # From memory, since a graph read by path brings in whatever files it names.
            graph = path.read_bytes()
            self._session = make(graph, sess_options=_options(tuning), providers=[*wanted])
        except ERRORS as error:
            raise BundleRejected(_refusal(path, str(error))) from error
        self._runs: Runs[Any] = Runs(onnxruntime.RunOptions)
        self.provider: str = self._session.get_providers()[0]
        self._binds = self.provider != CPU
        _require_device(device, self.provider, path)

    @property
    def input_shapes(self) -> dict[str, list[Any]]:
        """Shape by name of the input; a dimension that may vary is a string or None."""
        return {node.name: node.shape for node in self._session.get_inputs()}

    @property
    def output_shapes(self) -> dict[str, list[Any]]:
        """Shape by name of the output; a dimension that may vary is a string or None."""
        return {node.name: node.shape for node in self._session.get_outputs()}

    def run(self, output: str, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Run the graph for one of its outputs; raises OutOfMemory, or what onnxruntime raises."""
        try:
            with self._runs.one() as options:
                (result,) = (
                    self._run_bound(output, inputs, options)
                    if self._binds
                    else self._session.run([output], dict(inputs), options)
                )
        except ERRORS as error:
            if any(words in str(error).lower() for words in MEMORY_WORDS):
                raise OutOfMemory(str(error)) from error
            raise
        return np.asarray(result, dtype=np.float32)

    def longest_run_s(self) -> float:
        """For how long the oldest run has been under way; 0 if there is none."""
        return self._runs.longest_s()

    def break_off(self, after_s: float) -> None:
        """Make every run fail that has been under way for longer than this."""
        self._runs.break_off(after_s)

    def _run_bound(
        self,
        output: str,
        inputs: Mapping[str, NDArray[Any]],
        options: Any,  # noqa: ANN401 - a type of onnxruntime's, which has none
    ) -> list[NDArray[Any]]:
        """Bound inputs are copied to the device once, not again by each node that reads them."""
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_cpu_input(name, array)
        binding.bind_output(output)
        self._session.run_with_iobinding(binding, options)
        found: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return found


def onnxruntime_version() -> str:
    """The version of onnxruntime, whichever of its packages it came with."""
    return str(onnxruntime.__version__)


def onnxruntime_packages() -> list[str]:
    """Which of onnxruntime's packages are installed, with their versions; two are one too many."""
    installed = []
    for package in ("onnxruntime-gpu", "onnxruntime"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed.append(f"{package} {importlib.metadata.version(package)}")
    return installed


def onnxruntime_name() -> str:
    """The package that is installed and its version, for people."""
    return next(iter(onnxruntime_packages()), f"onnxruntime {onnxruntime_version()}")


def available_providers() -> list[str]:
    """The execution providers that onnxruntime was built with; a library may be missing still."""
    return list(onnxruntime.get_available_providers())


def _options(tuning: Tuning) -> Any:  # noqa: ANN401 - a type of onnxruntime's, which has none
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = tuning.threads
    options.log_severity_level = QUIET
    options.enable_cpu_mem_arena = tuning.keep_memory
    # A pattern is planned and kept for every shape seen, and batches come in many: over
    # sizes 1 to 8 the starter encoder's pictures took 293 MB with patterns, 204 without.
    options.enable_mem_pattern = False
    options.add_session_config_entry(SPINNING, str(int(tuning.spinning)))
    options.add_session_config_entry(OTHER_FILES, NOWHERE)
    options.add_session_config_entry(EXACT_PRODUCTS, str(int(_products_overflow())))
    return options


@cache
def _products_overflow() -> bool:
    """See eight_bit; a processor does not change while a process runs."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = QUIET
    probe = onnxruntime.InferenceSession(eight_bit.PRODUCT, options, providers=[CPU])
    return eight_bit.overflows(probe.run)


def _refusal(path: Path, reason: str) -> str:
    if "external data" in reason.lower():
        return (
            f"{path.name}: the graph keeps weights in another file, which no digest covers; "
            "export it with its weights inside"
        )
    return f"{path.name}: onnxruntime refuses this graph: {reason}"


def _require_device(device: Device, provider: str, path: Path) -> None:
    demanded = PLANS[device.kind].demanded
    if demanded is not None and provider != demanded:
        raise BundleRejected(
            f"encoder.device is {device}, but {path.name} would run on {provider}; install the "
            f"[gpu] extra and the libraries that {demanded} needs, or set encoder.device to auto"
        )


@cache
def _preload_cuda() -> None:
    """Find CUDA's libraries among the pip packages; what is missing shows when a session starts."""
    with contextlib.redirect_stdout(io.StringIO()):
        onnxruntime.preload_dlls()
