"""GPUs, as Prometheus reads them."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from moderation.adapters.prometheus.gpus import GpuMetrics
from moderation.service.gpus import GpuUse


def shown(metrics: GpuMetrics) -> list[str]:
    registry = CollectorRegistry()
    registry.register(metrics)
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if not line.startswith("#")]


def test_each_gpu_has_its_series() -> None:
    metrics = GpuMetrics()
    metrics.use = lambda: [GpuUse(1, 3 << 30, 80 << 30, 0.4)]

    assert shown(metrics) == [
        'moderation_gpu_memory_used_bytes{gpu="1"} 3.221225472e+09',
        'moderation_gpu_memory_bytes{gpu="1"} 8.589934592e+10',
        'moderation_gpu_utilization_ratio{gpu="1"} 0.4',
    ]


def test_without_a_gpu_there_is_no_series() -> None:
    assert shown(GpuMetrics()) == []
