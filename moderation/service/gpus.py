"""What the GPUs of the machine do, for whoever watches."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU, at one moment."""

    number: int
    """As NVIDIA's tools count them."""
    memory_used_bytes: int
    """By every process on it."""
    memory_bytes: int
    utilization: float
    """Share of the last sample period in which something ran on it, 0 to 1."""
