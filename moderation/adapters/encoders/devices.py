"""Where an encoder may run, as tables: the execution providers of each device, and their options.

Knows onnxruntime's names and none of its code. What is said here of CUDA and
TensorRT follows their documentation; docs/gpu.md says what was measured.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, cast

CPU = "CPUExecutionProvider"
CUDA = "CUDAExecutionProvider"
TENSORRT = "TensorrtExecutionProvider"

Kind = Literal["auto", "cpu", "cuda", "tensorrt"]
Providers: TypeAlias = list[tuple[str, dict[str, str]]]

DEVICE = re.compile(r"(?P<kind>auto|cpu|cuda|tensorrt)(:(?P<index>\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Device:
    """One device by its kind, and by its number where a machine may have several."""

    kind: Kind = "auto"
    index: int = 0

    def __str__(self) -> str:
        """As the setting writes it."""
        return f"{self.kind}:{self.index}" if self.kind in ("cuda", "tensorrt") else self.kind


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a graph is to be run; the defaults suit a CPU that decodes pictures too."""

    threads: int = 0
    """Of one inference; 0 takes every core."""
    spinning: bool = False
    """Whether idle inference threads keep a core busy while they wait for work."""
    keep_memory: bool = True
    """Whether what a run took stays for the next one: the starter encoder's batches of 1 to 8
    pictures ran 1.7 times as fast, in 204 instead of 146 MB."""
    gpu_memory_limit_bytes: int = 0
    """Of one session's arena; 0 sets no limit."""
    engine_cache: Path | None = None
    """Where TensorRT keeps the engines that it builds."""
    batches_in_flight: int = 0
    """On each device; 0 takes what the device is best at."""
    largest_batch: int = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """What a kind of device means: providers by preference, and the one that must not be missed."""

    providers: tuple[str, ...]
    demanded: str | None = None


PLANS: Mapping[Kind, Plan] = {
    "auto": Plan((CUDA, CPU)),
    "cpu": Plan((CPU,)),
    "cuda": Plan((CUDA, CPU), demanded=CUDA),
    "tensorrt": Plan((TENSORRT, CUDA, CPU), demanded=TENSORRT),
}

BATCHES_IN_FLIGHT: Mapping[str, int] = {CPU: 1, CUDA: 2, TENSORRT: 2}
"""By the provider that runs: a GPU computes one batch while the next is copied to it."""

PREFERRED_PRECISIONS: Mapping[Kind, tuple[str, ...]] = {
    "auto": ("int8", "fp32", "fp16"),
    "cpu": ("int8", "fp32", "fp16"),
    "cuda": ("fp16", "fp32", "int8"),
    "tensorrt": ("fp16", "fp32", "int8"),
}
"""Which of a model's bundles to take where its name says none."""

MISFITS: Mapping[tuple[str, str], str] = {
    (CPU, "fp16"): "a CPU computes fp16 slower than fp32; export this model as int8",
    (CUDA, "int8"): "most int8 products of this graph run on the CPU; export this model as fp16",
    (TENSORRT, "int8"): "TensorRT cannot use these int8 products; export this model as fp16",
}
"""By what runs and the bundle's precision."""


def parse_devices(text: str) -> tuple[Device, ...]:
    """`cuda:0,cuda:1` and its like; raises ValueError if it names no device or one twice."""
    devices: list[Device] = []
    for part in text.split(","):
        found = DEVICE.fullmatch(part.strip())
        if found is None:
            raise ValueError(
                f"unknown device {part.strip()!r}; use auto, cpu, cuda:N or tensorrt:N"
            )
        if found["index"] and found["kind"] in ("auto", "cpu"):
            raise ValueError(f"device {part.strip()!r}: only cuda and tensorrt have numbers")
        device = Device(cast(Kind, found["kind"]), int(found["index"] or 0))
        if device in devices:
            raise ValueError(f"device {device} is named twice")
        devices.append(device)
    if len(devices) > 1 and any(device.kind in ("auto", "cpu") for device in devices):
        raise ValueError(f"devices {text!r}: auto and cpu stand alone")
    return tuple(devices)


def providers_for(
    device: Device, tuning: Tuning, available: Collection[str], *, frame: tuple[str, int] = ("", 0)
) -> Providers:
    """The providers to ask onnxruntime for, best first, with their options.

    `frame` is the image input's name and size in pixels, by which TensorRT builds one
    engine for every batch size instead of one for each.
    """
    return [
        (provider, _options(provider, device, tuning, frame))
        for provider in PLANS[device.kind].providers
        if provider in available
    ]


def _options(
    provider: str, device: Device, tuning: Tuning, frame: tuple[str, int]
) -> dict[str, str]:
    if provider == CPU:
        return {}
    options = {"device_id": str(device.index)}
    if provider == CUDA:
        options |= _cuda_options(tuning)
    else:
        options |= _tensorrt_options(tuning, frame)
    return options


def _cuda_options(tuning: Tuning) -> dict[str, str]:
    options = {
        # Growing by powers of two would take twice what a batch needs.
        "arena_extend_strategy": "kSameAsRequested",
        # An exhaustive search would run again at every new batch size.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if tuning.gpu_memory_limit_bytes:
        options["gpu_mem_limit"] = str(tuning.gpu_memory_limit_bytes)
    return options


def _tensorrt_options(tuning: Tuning, frame: tuple[str, int]) -> dict[str, str]:
    options = {"trt_fp16_enable": "1"}
    if tuning.engine_cache is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(tuning.engine_cache),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(tuning.engine_cache),
        }
    name, size_px = frame
    if name:
        largest = tuning.largest_batch
        for part, batch in (("min", 1), ("opt", largest), ("max", largest)):
            shape = f"{name}:{batch}x{size_px}x{size_px}x3"
            options[f"trt_profile_{part}_shapes"] = shape
    return options
