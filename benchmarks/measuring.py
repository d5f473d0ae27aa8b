"""What measuring on a device takes: sessions that really run there, bound runs, rates."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import onnxruntime

PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
STRETCHES = 5

Item = TypeVar("Item")


def session(path: Path, device: str) -> onnxruntime.InferenceSession:
    """Ends the program if the device was asked for and something else would run."""
    wanted = PROVIDERS[device]
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=[wanted])
    if (runs := session.get_providers()[0]) != wanted:
        raise SystemExit(f"{wanted} was asked for, and onnxruntime would run on {runs}")
    return session


def bound(
    session: onnxruntime.InferenceSession, output: str, inputs: dict[str, np.ndarray], device: str
) -> Callable[[], Any]:
    """A run with its inputs on the device, and its outputs left there."""
    binding = session.io_binding()
    for name, array in inputs.items():
        value = onnxruntime.OrtValue.ortvalue_from_numpy(array, device, 0)
        binding.bind_ortvalue_input(name, value)
    binding.bind_output(output, device)

    def run() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return run


def per_second(run: Callable[[], Any], seconds: float) -> float:
    """Calls a second: the median of a few stretches."""
    run()
    rates = []
    for _ in range(STRETCHES):
        calls, started = 0, time.perf_counter()
        while not calls or time.perf_counter() - started < seconds / STRETCHES:
            run()
            calls += 1
        rates.append(calls / (time.perf_counter() - started))
    return median(rates)


def all_of(pool: ThreadPoolExecutor, work: Callable[[Item], None], items: Iterable[Item]) -> None:
    """Work on all items at once, and wait."""
    list(pool.map(work, items))
