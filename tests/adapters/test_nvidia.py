"""What the driver says of GPUs; without a driver, nothing."""

import ctypes.util
import sys
from types import SimpleNamespace

import pynvml
import pytest

from moderation.adapters.nvidia import Gpus
from moderation.service.gpus import GpuUse

HAS_DRIVER = bool(ctypes.util.find_library("nvidia-ml"))


def with_gpus(monkeypatch: pytest.MonkeyPatch, *, lost: int) -> None:
    """Three GPUs, of which one does not answer."""

    def answer(number: int) -> int:
        if number == lost:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return number

    memory, rates = SimpleNamespace(used=3 << 30, total=80 << 30), SimpleNamespace(gpu=40)
    monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: 3)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetHandleByIndex", answer)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetMemoryInfo", lambda _: memory)
    monkeypatch.setattr(pynvml, "nvmlDeviceGetUtilizationRates", lambda _: rates)


def test_each_gpu_that_answers_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, lost=1)

    assert Gpus().use() == [
        GpuUse(0, 3 << 30, 80 << 30, 0.4),
        GpuUse(2, 3 << 30, 80 << 30, 0.4),
    ]


def test_a_driver_that_goes_away_costs_no_other_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    with_gpus(monkeypatch, lost=1)
    gpus = Gpus()

    def gone() -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)

    monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", gone)

    assert gpus.use() == ()


@pytest.mark.skipif(HAS_DRIVER, reason="has a driver")
def test_without_a_driver_there_is_none() -> None:
    assert Gpus().use() == ()


def test_without_the_package_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)

    assert Gpus().use() == ()
