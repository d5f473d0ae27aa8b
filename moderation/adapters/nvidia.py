"""NVIDIA's GPUs, by its management library (NVML); the package for it is in the [gpu] extra."""

from collections.abc import Sequence
from typing import Any

from moderation.service.gpus import GpuUse


class Gpus:
    """Those that the driver shows; none where it, or the package, is not installed."""

    def __init__(self) -> None:
        self._nvml = _initialised()

    def use(self) -> Sequence[GpuUse]:
        """What each does now; one that cannot be asked at the moment is left out."""
        if self._nvml is None:
            return ()
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError:  # the driver is being replaced, say
            return ()
        return [one for one in map(self._use_of, range(count)) if one is not None]

    def _use_of(self, number: int) -> GpuUse | None:
        nvml = self._nvml
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(number)
            memory = nvml.nvmlDeviceGetMemoryInfo(handle)
            percent = nvml.nvmlDeviceGetUtilizationRates(handle).gpu
        except nvml.NVMLError:  # lost from the bus, or a part of a GPU, which has no rates
            return None
        return GpuUse(number, int(memory.used), int(memory.total), percent / 100)


def _initialised() -> Any:  # noqa: ANN401 - the module, which has no types
    try:
        import pynvml  # noqa: PLC0415 - an extra
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return None
    return pynvml
