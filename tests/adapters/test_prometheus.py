"""What Prometheus scrapes, read as it does: over HTTP, from the real port."""

import urllib.error
import urllib.request
from collections.abc import Iterator
from contextvars import copy_context
from datetime import timedelta
from urllib.request import Request, urlopen

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry
from moderation.adapters.prometheus.access import MAX_TENANTS, OTHERS
from moderation.adapters.prometheus.families import CODES
from moderation.core.decision import Failure, Timings
from moderation.core.errors import AccessReason, FailureCode, Problem, Unauthenticated
from moderation.core.policy import Action, BoundEncoder, Mode
from moderation.core.scoring import CompiledPolicies
from moderation.service.activation import SetOrigin
from moderation.service.outcomes import DecoderLoss, Lookup, ShadowOutcome, ShedReason, SpanLoss
from moderation.service.ports import EmbeddedTexts
from moderation.service.request_context import RequestContext, work_for
from moderation.service.tenants import TenantUsage
from tests.builders import (
    NOON,
    a_decision,
    a_policy,
    a_policy_set,
    a_verdict,
    an_encoder_info,
    compiled,
)
from tests.contracts import TelemetryContract

LATER = NOON + timedelta(days=30)
Series = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture
def telemetry() -> PrometheusTelemetry:
    return PrometheusTelemetry()


@pytest.fixture
def server(telemetry: PrometheusTelemetry) -> Iterator[MetricsServer]:
    with MetricsServer(telemetry.registry, host="127.0.0.1", port=0, is_ready=bool) as running:
        yield running


def families(server: MetricsServer) -> list[Metric]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=10) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def scraped(server: MetricsServer) -> dict[Series, float]:
    samples = [sample for family in families(server) for sample in family.samples]
    return {series_of(sample): sample.value for sample in samples}


def series_of(sample: Sample) -> Series:
    return sample.name, tuple(sorted(sample.labels.items()))


def series(name: str, /, **labels: str) -> Series:
    return name, tuple(sorted(labels.items()))


def watch(telemetry: PrometheusTelemetry, *, active: CompiledPolicies | None) -> None:
    telemetry.watch(
        policy_age_s=lambda: 0.0,
        policies_stale=lambda: False,
        review_budgets=dict,
        ready=lambda: True,
        in_flight=lambda: 0,
        active=lambda: active,
    )


class TestPrometheus(TelemetryContract):
    """`telemetry` is the module's fixture."""


def test_closed_label_sets_are_there_before_anything_happens(server: MetricsServer) -> None:
    seen = scraped(server)

    for reason in ShedReason:
        assert seen[series("moderation_shed_total", reason=reason.value)] == 0
    for loss in DecoderLoss:
        assert seen[series("moderation_decoder_restarts_total", reason=loss.value)] == 0
    for code in FailureCode:
        assert seen[series("moderation_unjudgeable_total", code=code.value)] == 0
    for result in ("loaded", "unchanged", "rejected"):
        assert seen[series("moderation_policy_reloads_total", result=result)] == 0
    for action in ("allow", "review", "block"):
        assert seen[series("moderation_decisions_total", action=action, profile="default")] == 0


def test_methods_have_their_failures_counted_from_zero_on(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    telemetry.show_methods(["/a.Service/Ask", "/a.Service/Tell"])
    before = scraped(server)
    telemetry.rpc_finished("/a.Service/Ask", "INTERNAL", 0.1)

    bugs = series("moderation_rpcs_total", method="/a.Service/Ask", code="INTERNAL")
    assert (before[bugs], scraped(server)[bugs]) == (0, 1)
    assert {
        code: before[series("moderation_rpcs_total", method="/a.Service/Tell", code=code)]
        for code in CODES
    } == dict.fromkeys(CODES, 0)


def test_decisions_are_counted_by_action_and_profile_with_their_verdicts(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    weapons, gore = a_policy("weapons"), a_policy("gore")
    knives = a_policy("knives", mode=Mode.SHADOW)
    verdicts = (
        a_verdict(weapons),
        a_verdict(knives, action=Action.REVIEW),
        a_verdict(gore, action=Action.ALLOW),
    )
    watch(telemetry, active=compiled(a_policy_set(weapons, gore, knives)))
    timings = Timings(decode_s=0.004, queue_s=0.0, encode_s=0.03, score_s=0.0001, total_s=0.04)

    telemetry.decided(
        a_decision(action=Action.BLOCK, profile="kids", verdicts=verdicts, timings=timings)
    )

    seen = scraped(server)
    assert seen[series("moderation_decisions_total", action="block", profile="kids")] == 1
    assert {
        labels: value
        for (name, labels), value in seen.items()
        if "verdicts_total" in name and value
    } == {
        (("action", "block"), ("mode", "enforce"), ("policy", "weapons")): 1,
        (("action", "review"), ("mode", "shadow"), ("policy", "knives")): 1,
    }
    decode = series("moderation_stage_duration_seconds_sum", stage="decode")
    assert seen[decode] == pytest.approx(0.004)
    assert seen[series("moderation_stage_duration_seconds_bucket", stage="encode", le="0.05")] == 1


def test_unjudgeable_content_is_counted_by_its_reason_and_not_timed(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    failure = Failure(FailureCode.TRUNCATED, "ends early")

    telemetry.decided(a_decision(action=Action.REVIEW, failure=failure))

    seen = scraped(server)
    assert seen[series("moderation_unjudgeable_total", code="truncated")] == 1
    assert seen[series("moderation_decisions_total", action="review", profile="default")] == 1
    assert seen[series("moderation_stage_duration_seconds_count", stage="decode")] == 0


def test_load_is_told_by_queue_batches_rpcs_and_what_was_turned_away(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    telemetry.queue_changed(5)
    telemetry.batch_encoded(8, 0.02)
    telemetry.shed(ShedReason.QUEUE_FULL)
    telemetry.embedding_looked_up(Lookup.SHARED)
    telemetry.cache_changed(4096)
    telemetry.limit_changed(64)
    telemetry.rpc_finished("Moderate", "OK", 0.03)

    seen = scraped(server)
    assert seen[series("moderation_queue_depth")] == 5
    assert seen[series("moderation_batch_size_sum")] == 8
    assert seen[series("moderation_embedding_lookups_total", result="shared")] == 1
    assert seen[series("moderation_embedding_lookups_total", result="hit")] == 0
    assert seen[series("moderation_embedding_cache_bytes")] == 4096
    assert seen[series("moderation_admission_limit")] == 64
    assert seen[series("moderation_batch_duration_seconds_sum")] == pytest.approx(0.02)
    assert seen[series("moderation_shed_total", reason="queue_full")] == 1
    assert seen[series("moderation_rpcs_total", method="Moderate", code="OK")] == 1
    assert seen[series("moderation_rpc_duration_seconds_count", method="Moderate")] == 1


def test_a_rejected_reload_shows_until_the_policies_are_mended(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    failed = series("moderation_policy_reload_failed")
    telemetry.policies_loaded(
        version="v1", policies=3, embedded=EmbeddedTexts(9, 1), seconds=0.2, origin=SetOrigin.SOURCE
    )
    assert scraped(server)[failed] == 0

    telemetry.policies_rejected((Problem("a.yaml", 1, 1, "empty"),))
    seen = scraped(server)
    assert seen[failed] == 1
    assert seen[series("moderation_policies")] == 3
    assert seen[series("moderation_policy_set_info", version="v1")] == 1

    telemetry.policies_unchanged(version="v1")
    seen = scraped(server)
    assert seen[failed] == 0
    assert [
        seen[series("moderation_policy_reloads_total", result=result)]
        for result in ("loaded", "rejected", "unchanged")
    ] == [1, 1, 1]


def test_only_the_active_version_is_shown(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    for number in range(100):
        telemetry.policies_loaded(
            version=f"v{number}",
            policies=1,
            embedded=EmbeddedTexts(1, 1),
            seconds=0.1,
            origin=SetOrigin.SOURCE,
        )

    versions = [key for key in scraped(server) if key[0] == "moderation_policy_set_info"]
    assert versions == [series("moderation_policy_set_info", version="v99")]


def test_readiness_load_and_policy_age_are_asked_for_at_each_scrape(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    now = {"age": 1.5, "ready": 0.0, "in flight": 0, "connections": 1}
    telemetry.watch_connections(lambda: int(now["connections"]))
    telemetry.watch(
        policies_stale=lambda: True,
        review_budgets=lambda: {"kids": 0.02},
        policy_age_s=lambda: now["age"],
        ready=lambda: bool(now["ready"]),
        in_flight=lambda: int(now["in flight"]),
        active=lambda: None,
    )
    before = scraped(server)

    now |= {"age": 61.5, "ready": 1.0, "in flight": 7, "connections": 3}
    after = scraped(server)

    age, ready = series("moderation_policy_set_age_seconds"), series("moderation_ready")
    assert (before[age], before[ready]) == (1.5, 0.0)
    assert (after[age], after[ready]) == (61.5, 1.0)
    in_flight = series("moderation_in_flight")
    assert (before[in_flight], after[in_flight]) == (0, 7)
    connections = series("moderation_connections")
    assert (before[connections], after[connections]) == (1, 3)


def test_build_and_encoder_are_named(telemetry: PrometheusTelemetry, server: MetricsServer) -> None:
    telemetry.describe(
        build={"version": "1.2.3"}, encoder=an_encoder_info(), demanded_device="auto"
    )

    seen = scraped(server)
    assert seen[series("moderation_build_info", version="1.2.3")] == 1
    encoder = {"encoder_id": "fake-encoder", "name": "fake", "family": "fake"}
    device = {"device": an_encoder_info().device, "demanded_device": "auto"}
    assert seen[series("moderation_encoder_info", **device, **encoder)] == 1


def test_a_second_encoder_is_named_and_what_it_saw_counted(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    second = an_encoder_info(encoder_id="second", name="second")
    telemetry.describe(build={}, encoder=an_encoder_info(), demanded_device="cpu", shadow=second)
    telemetry.encoder_shadowed(ShadowOutcome.RECORDED)
    telemetry.encoder_stuck(31.5)

    seen = scraped(server)
    runs = "moderation_shadow_encodings_total"
    named = {"encoder_id": "second", "name": "second", "family": "fake", "device": second.device}
    assert seen[series("moderation_shadow_encoder_info", **named)] == 1
    assert seen[series(runs, outcome="recorded")] == 1
    assert seen[series(runs, outcome="dropped")] == 0


def test_thresholds_for_another_encoder_show_until_they_are_mended(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    gauge = series("moderation_policies_for_another_encoder")
    telemetry.binding_checked(BoundEncoder("a" * 64, "vit-b32", "encoder.lock"), suits=False)
    before = scraped(server)[gauge]
    telemetry.binding_checked(None, suits=True)

    assert (before, scraped(server)[gauge]) == (1, 0)


@pytest.mark.case(92)
def test_spans_are_counted_by_what_became_of_them(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    telemetry.spans_sent(512)
    telemetry.spans_lost(3, SpanLoss.NOT_TAKEN)

    seen = scraped(server)
    assert seen[series("moderation_spans_sent_total")] == 512
    assert seen[series("moderation_spans_lost_total", reason="not_taken")] == 3
    assert seen[series("moderation_spans_lost_total", reason="queue_full")] == 0


def test_only_a_trace_that_is_kept_is_an_exemplar(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    def answer(method: str, *, is_sampled: bool) -> None:
        work_for(RequestContext("request-7", f"trace-of-{method}", is_sampled))
        telemetry.rpc_finished(method, "OK", 0.3)

    copy_context().run(answer, "kept", is_sampled=True)
    copy_context().run(answer, "other", is_sampled=False)

    url = f"http://127.0.0.1:{server.port}/metrics"
    asked = Request(url, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with urlopen(asked, timeout=10) as answered:
        text = answered.read().decode()
    assert 'le="0.5",method="kept"} 1.0 # {trace_id="trace-of-kept"} 0.3' in text
    assert "trace-of-other" not in text


def test_nothing_that_a_caller_sends_becomes_a_label(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    telemetry.decided(a_decision())
    before = set(scraped(server))

    for number in range(200):
        telemetry.decided(a_decision(content_id=f"u-{number}", decision_id=f"d-{number}"))

    assert set(scraped(server)) == before


def test_names_keep_to_the_conventions(server: MetricsServer) -> None:
    ours = [family for family in families(server) if family.name.startswith("moderation_")]

    assert len(ours) > 15
    assert all(family.documentation for family in ours)
    for family in ours:
        if family.type == "histogram" and not family.name.endswith(("_size", "_score")):
            assert family.name.endswith("_seconds")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        assert not family.name.endswith("_created")


def test_certificates_show_when_they_expire_and_that_a_replacement_failed(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    name, failed = "moderation_tls_not_after_timestamp_seconds", "moderation_tls_reload_failed"
    before = scraped(server)
    telemetry.certificates.certificates_loaded(
        serial="7f", not_after=NOON, client_ca_not_after=None, key_is_exposed=False
    )
    telemetry.certificates.certificates_rejected("tls.crt: expired")
    broken = scraped(server)
    telemetry.certificates.certificates_loaded(
        serial="80", not_after=NOON, client_ca_not_after=LATER, key_is_exposed=False
    )
    mended = scraped(server)

    assert series(name, certificate="server") not in before
    assert broken[series(name, certificate="server")] == NOON.timestamp()
    assert series(name, certificate="client_ca") not in broken
    assert mended[series(name, certificate="client_ca")] == LATER.timestamp()
    assert [seen[series(failed)] for seen in (before, broken, mended)] == [0, 1, 0]
    assert mended[series("moderation_tls_reload_failures_total")] == 1


def test_refused_callers_are_counted_by_reason(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    telemetry.access.access_refused(Unauthenticated(AccessReason.EXPIRED, "shop-1"), "/a/method")

    found = scraped(server)
    assert found[series("moderation_auth_refusals_total", reason="expired")] == 1
    assert all(
        series("moderation_auth_refusals_total", reason=reason.value) in found
        for reason in AccessReason
    )


def test_keys_that_cannot_be_used_are_shown_until_they_can(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    failed = series("moderation_keys_reload_failed")

    telemetry.access.keys_rejected([Problem("keys.yaml", 1, 1, "is wrong")])
    broken = scraped(server)[failed]
    telemetry.access.keys_loaded(tenants=1, keys=1, certificates=0, is_exposed=False)

    assert (broken, scraped(server)[failed]) == (1, 0)


def test_tenants_have_series_up_to_a_bound_and_the_rest_one_together(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    usage = [TenantUsage(f"tenant-{n}", 1, 10, 2) for n in range(MAX_TENANTS + 3)]

    telemetry.tenants.usage = lambda: usage

    found = scraped(server)
    assert found[series("moderation_tenant_admitted_total", tenant="tenant-0")] == 10
    assert found[series("moderation_tenant_in_flight", tenant=OTHERS)] == 3
    assert found[series("moderation_tenant_shed_total", tenant=OTHERS)] == 6
    names = [name for name, _ in found]
    assert names.count("moderation_tenant_admitted_total") == MAX_TENANTS + 1


def test_an_issuer_that_cannot_be_asked_is_shown_until_it_can(
    telemetry: PrometheusTelemetry, server: MetricsServer
) -> None:
    failed = series("moderation_jwks_reload_failed")

    telemetry.access.signers_rejected([Problem("https://us/jwks", 0, 0, "is away")])
    away = scraped(server)[failed]
    telemetry.access.signers_loaded(2)

    assert (away, scraped(server)[failed]) == (1, 0)
