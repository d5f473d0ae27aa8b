"""The metrics of several processes as those of one service, read as Prometheus does."""

import json
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry
from moderation.adapters.prometheus.sums import (
    RULE_BY_GAUGE,
    Snapshot,
    SummedMetrics,
    snapshot_of,
)
from moderation.adapters.prometheus.supervisor import SupervisorMetrics
from moderation.core.policy import Action
from moderation.service.activation import SetOrigin
from moderation.service.outcomes import Lookup
from moderation.service.ports import EmbeddedTexts
from tests.builders import a_decision, a_policy, a_policy_set, a_verdict, compiled

Series = dict[str, float]


def never() -> None:
    """No process has to be asked."""


@pytest.fixture
def sums() -> SummedMetrics:
    return SummedMetrics(SupervisorMetrics(2, lambda: 2).registry, never)


@pytest.fixture
def workers() -> tuple[PrometheusTelemetry, PrometheusTelemetry]:
    return PrometheusTelemetry(), PrometheusTelemetry()


def sent(telemetry: PrometheusTelemetry) -> Snapshot:
    """A snapshot as it arrives from another process."""
    arrived: Snapshot = json.loads(json.dumps(snapshot_of(telemetry.registry)))
    return arrived


def shown(sums: SummedMetrics) -> Series:
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value
        for family in sums.collect()
        for one in family.samples
    }


def show(sums: SummedMetrics, *workers: PrometheusTelemetry) -> Series:
    for number, worker in enumerate(workers):
        sums.report(number, sent(worker))
    return shown(sums)


def test_counters_and_histograms_are_added_up(
    sums: SummedMetrics, workers: tuple[PrometheusTelemetry, PrometheusTelemetry]
) -> None:
    one, other = workers
    for worker, seconds in ((one, 0.02), (one, 0.2), (other, 0.02)):
        worker.rpc_finished("Moderate", "OK", seconds)

    seen = show(sums, one, other)

    assert seen["moderation_rpcs_total{code=OK,method=Moderate}"] == 3
    assert seen["moderation_rpc_duration_seconds_count{method=Moderate}"] == 3
    assert seen["moderation_rpc_duration_seconds_bucket{le=0.025,method=Moderate}"] == 2
    assert seen["moderation_rpc_duration_seconds_sum{method=Moderate}"] == pytest.approx(0.24)


def test_what_a_worker_counted_stays_when_it_is_gone(
    sums: SummedMetrics, workers: tuple[PrometheusTelemetry, PrometheusTelemetry]
) -> None:
    one, other = workers
    for worker in (one, one, other):
        worker.embedding_looked_up(Lookup.MISS)
        worker.cache_changed(1000)
    show(sums, one, other)

    sums.ended(0)
    gone = shown(sums)
    successor = PrometheusTelemetry()
    successor.embedding_looked_up(Lookup.MISS)
    replaced = show(sums, successor, other)

    assert gone["moderation_embedding_lookups_total{result=miss}"] == 3
    assert gone["moderation_embedding_cache_bytes{}"] == 1000
    assert replaced["moderation_embedding_lookups_total{result=miss}"] == 4


def test_one_that_never_reported_leaves_nothing(sums: SummedMetrics) -> None:
    sums.ended(1)

    assert "moderation_rpcs_total{}" not in shown(sums)


def test_gauges_follow_their_table(
    sums: SummedMetrics, workers: tuple[PrometheusTelemetry, PrometheusTelemetry]
) -> None:
    one, other = workers
    for worker, depth, is_ready in ((one, 3, True), (other, 4, False)):
        worker.queue_changed(depth)
        watch(worker, is_ready=is_ready)
    one.policies_rejected(())
    other.policies_loaded(
        version="b", policies=5, embedded=EmbeddedTexts(), seconds=1, origin=SetOrigin.SOURCE
    )

    seen = show(sums, one, other)

    assert seen["moderation_queue_depth{}"] == 7
    assert seen["moderation_ready{}"] == 0
    assert seen["moderation_policy_reload_failed{}"] == 1
    assert seen["moderation_policies{}"] == 5
    assert seen["moderation_policy_set_info{version=b}"] == 1
    assert seen["moderation_workers{}"] == seen["moderation_workers_wanted{}"] == 2


def watch(worker: PrometheusTelemetry, *, is_ready: bool) -> None:
    worker.watch(
        policy_age_s=lambda: 1.0,
        policies_stale=lambda: False,
        review_budgets=dict,
        ready=lambda: is_ready,
        in_flight=lambda: 0,
        active=lambda: None,
    )


def test_a_service_without_a_worker_is_not_ready(sums: SummedMetrics) -> None:
    assert shown(sums)["moderation_ready{}"] == 0


def test_the_supervisor_s_own_memory_and_start_count_too(
    sums: SummedMetrics, workers: tuple[PrometheusTelemetry, PrometheusTelemetry]
) -> None:
    alone = shown(sums)

    seen = show(sums, *workers)

    # All three registries are of this one process here.
    memory = "process_resident_memory_bytes{}"
    assert seen[memory] == pytest.approx(3 * alone[memory], rel=0.2)
    assert seen["process_start_time_seconds{}"] == alone["process_start_time_seconds{}"]


def test_series_of_a_removed_policy_vanish_with_the_last_worker_that_has_it(
    sums: SummedMetrics, workers: tuple[PrometheusTelemetry, PrometheusTelemetry]
) -> None:
    one, other = workers
    verdict = a_verdict(a_policy("guns"), action=Action.BLOCK)
    active = compiled(a_policy_set(a_policy("guns")))
    for worker in (one, other):
        worker.watch(
            policy_age_s=lambda: 1.0,
            policies_stale=lambda: False,
            review_budgets=dict,
            ready=lambda: True,
            in_flight=lambda: 0,
            active=lambda: active,
        )
        worker.decided(a_decision(verdicts=(verdict,)))
    series = "moderation_verdicts_total{action=block,mode=enforce,policy=guns}"
    both = show(sums, one, other)
    sums.ended(0)
    with_one = shown(sums)
    watch(other, is_ready=True)  # no policy any more

    sums.report(1, sent(other))
    without = shown(sums)

    assert both[series] == with_one[series] == 2
    assert series not in without


def test_every_gauge_has_its_rule() -> None:
    registries = [PrometheusTelemetry().registry, SupervisorMetrics(1, lambda: 1).registry]
    gauges = {
        family.name
        for registry in registries
        for family in registry.collect()
        if family.type == "gauge"
    }

    assert gauges == set(RULE_BY_GAUGE)


@pytest.fixture
def endpoint(sums: SummedMetrics) -> Iterator[MetricsServer]:
    registry = CollectorRegistry()
    registry.register(sums)
    with MetricsServer(registry, host="127.0.0.1", port=0, is_ready=bool) as running:
        yield running


def test_prometheus_reads_the_sums_as_it_reads_one_process(
    sums: SummedMetrics,
    endpoint: MetricsServer,
    workers: tuple[PrometheusTelemetry, PrometheusTelemetry],
) -> None:
    one, _ = workers
    one.rpc_finished("Moderate", "OK", 0.02)
    show(sums, *workers)

    with urllib.request.urlopen(endpoint.url, timeout=10) as answer:
        summed = {f.name: f.type for f in text_string_to_metric_families(answer.read().decode())}
    alone = {family.name: family.type for family in one.registry.collect()}

    assert "moderation_rpcs" in summed
    assert {name: summed.get(name) for name in alone if name in summed} == {
        name: "gauge" if kind == "info" else kind for name, kind in alone.items() if name in summed
    }
