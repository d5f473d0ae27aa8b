"""The metrics of several processes as those of one service.

Each process has a registry of its own, and gives a snapshot of it when it is asked.
Counters and histograms are added up, and what a process that died had counted stays in
the sum. What a gauge of the service is by those of its processes says a table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from moderation.adapters.prometheus.catalog import METRICS

Snapshot: TypeAlias = Sequence[Sequence[Any]]
"""Of each family its name, type, help, and samples: each its name, labels and value."""
Rule: TypeAlias = Callable[[float, float], float]
Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]

READY = "moderation_ready"
BY_POLICY = "policy"
"""The label of series that vanish with their policy."""


def added(one: float, other: float) -> float:
    """Both together."""
    return one + other


COUNTED = ("counter", "histogram", "summary")
RULE_BY_GAUGE: Mapping[str, Rule] = {
    # Amounts, of which each process has its own.
    "moderation_in_flight": added,
    "moderation_connections": added,
    "moderation_in_flight_bytes": added,
    "moderation_image_fetches_in_flight": added,
    "moderation_decoders": added,
    "moderation_decoders_busy": added,
    "moderation_decode_waiting": added,
    "moderation_decoder_resident_memory_bytes": added,
    "moderation_admission_limit": added,
    "moderation_queue_depth": added,
    "moderation_embedding_cache_bytes": added,
    "moderation_tenant_in_flight": added,
    "moderation_policy_scores_compared": added,
    "moderation_decision_log_waiting": added,
    "process_virtual_memory_bytes": added,
    "process_resident_memory_bytes": added,
    "process_open_fds": added,
    "process_max_fds": added,
    # The service does what all of its processes do.
    READY: min,
    "process_start_time_seconds": min,
    "moderation_tls_not_after_timestamp_seconds": min,
    # What is wrong with one of them is wrong; what is the same for all stays the same.
    "moderation_keys_reload_failed": max,
    "moderation_jwks_reload_failed": max,
    "moderation_policy_reload_failed": max,
    "moderation_policy_reference_outdated": max,
    # Each worker compares what it saw itself; the one that drifts most is told.
    "moderation_policy_score_psi": max,
    "moderation_policies_for_another_encoder": max,
    "moderation_policies": max,
    "moderation_policy_set_age_seconds": max,
    "moderation_policy_set_stale": max,
    "moderation_policy_threshold": max,
    "moderation_review_budget": max,
    "moderation_decision_log_failing": max,
    # Every process sees the whole GPU.
    "moderation_gpu_memory_used_bytes": max,
    "moderation_gpu_memory_bytes": max,
    "moderation_gpu_utilization_ratio": max,
    "moderation_tls_reload_failed": max,
    "moderation_workers": max,
    "moderation_workers_wanted": max,
    "python_info": max,
}


def snapshot_of(registry: CollectorRegistry) -> Snapshot:
    """All that a registry holds now, in lists, texts and numbers."""
    return [
        (
            family.name,
            family.type,
            family.documentation,
            [(sample.name, sample.labels, sample.value) for sample in family.samples],
        )
        for family in registry.collect()
    ]


class _Family:
    """One family while it is being put together."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        self.name, self.kind, self.text = name, kind, text
        self.rule = added if kind in COUNTED else RULE_BY_GAUGE.get(name, max)
        self.value_by_key: dict[Key, float] = {}

    def add(self, key: Key, value: float) -> None:
        known = self.value_by_key.get(key)
        self.value_by_key[key] = value if known is None else self.rule(known, value)

    def metric(self) -> Metric:
        made = Metric(self.name, self.text, self.kind)
        made.samples = [
            Sample(name, dict(labels), value) for (name, labels), value in self.value_by_key.items()
        ]
        return made


class SummedMetrics(Collector):
    """Shows the sum of the workers' snapshots, and of the supervisor's own registry.

    `refresh` is called before each scrape, from its thread, to have snapshots brought.
    """

    def __init__(self, own: CollectorRegistry, refresh: Callable[[], None]) -> None:
        self._own = own
        self._refresh = refresh
        self._lock = Lock()  # scrapes come from another thread
        self._living: dict[int, Snapshot] = {}
        self._ended: dict[str, _Family] = {}
        """What those counted that are no more."""

    def report(self, worker: int, snapshot: Snapshot) -> None:
        """What a worker counts now."""
        with self._lock:
            self._living[worker] = snapshot

    def ended(self, worker: int) -> None:
        """A worker is no more; what it had counted when it last reported is kept."""
        with self._lock:
            last = self._living.pop(worker, ())
            _gather(self._ended, (one for one in last if one[1] in COUNTED))

    def collect(self) -> Iterator[Metric]:
        """See Collector."""
        self._refresh()
        with self._lock:
            families = self._summed()
        yield from (family.metric() for family in families.values())

    def _summed(self) -> dict[str, _Family]:
        families: dict[str, _Family] = {}
        for snapshot in self._living.values():
            _gather(families, snapshot)
        for ended in self._ended.values():
            self._forget_removed_policies(ended, families.get(ended.name))
            family = families.setdefault(ended.name, _Family(ended.name, ended.kind, ended.text))
            for key, value in ended.value_by_key.items():
                family.add(key, value)
        _gather(families, snapshot_of(self._own))
        if not self._living:
            nobody = _Family(READY, "gauge", METRICS[READY].text)
            nobody.add((READY, ()), 0.0)
            families[READY] = nobody
        return families

    def _forget_removed_policies(self, ended: _Family, living: _Family | None) -> None:
        """As a worker does; one that starts anew with the policy would count from 0 too."""
        if not self._living:
            return
        shown = living.value_by_key if living is not None else {}
        for key in [key for key in ended.value_by_key if key not in shown and _is_by_policy(key)]:
            del ended.value_by_key[key]


def _gather(families: dict[str, _Family], snapshot: Iterable[Sequence[Any]]) -> None:
    for name, kind, text, samples in snapshot:
        family = families.setdefault(name, _Family(name, kind, text))
        for sample, labels, value in samples:
            family.add((sample, tuple(sorted(labels.items()))), float(value))


def _is_by_policy(key: Key) -> bool:
    return any(name == BY_POLICY for name, _ in key[1])
