"""What is said of the metrics, compared with those that a busy service really shows."""

from collections.abc import Iterable

import pytest
from prometheus_client import Metric

from moderation.adapters.prometheus import PrometheusTelemetry
from moderation.adapters.prometheus.catalog import METRICS, Described
from moderation.adapters.prometheus.drift import ScoreDrift
from moderation.adapters.prometheus.supervisor import SupervisorMetrics
from moderation.core.errors import AccessReason, Unauthenticated
from moderation.service.activation import SetOrigin
from moderation.service.drift import PolicyDrift
from moderation.service.gpus import GpuUse
from moderation.service.ports import EmbeddedTexts
from moderation.service.tenants import TenantUsage
from tests.builders import NOON, a_policy, a_policy_set, an_encoder_info, compiled

OF_A_HISTOGRAM = {"le"}
UNIT_BY_SUFFIX = {"_seconds": "seconds", "_bytes": "bytes", "_ratio": "0 to 1"}


def everything() -> list[Metric]:
    """The families of a service in which there is one of everything."""
    telemetry = PrometheusTelemetry()
    telemetry.describe(
        build={"version": "1", "python_version": "3", "onnxruntime_version": "1"},
        encoder=an_encoder_info(),
        demanded_device="auto",
        shadow=an_encoder_info(),
    )
    telemetry.policies_loaded(
        version="v", policies=1, embedded=EmbeddedTexts(), seconds=1, origin=SetOrigin.SOURCE
    )
    telemetry.watch(
        policy_age_s=lambda: 1.0,
        policies_stale=lambda: False,
        review_budgets=lambda: {"kids": 0.1},
        ready=lambda: True,
        in_flight=lambda: 0,
        active=lambda: compiled(a_policy_set(a_policy("gore"))),
    )
    telemetry.rpc_finished("/Service/Call", "OK", 0.1)
    telemetry.tenants.usage = lambda: [TenantUsage("shop", 1, 1, 1)]
    telemetry.gpus.use = lambda: [GpuUse(0, 1, 2, 0.5)]
    telemetry.access.access_refused(Unauthenticated(AccessReason.EXPIRED, "shop"), "/a")
    telemetry.certificates.certificates_loaded(
        serial="7", not_after=NOON, client_ca_not_after=None, key_is_exposed=False
    )
    registries = telemetry.registry, SupervisorMetrics(2, lambda: 2).registry
    families = [family for registry in registries for family in registry.collect()]
    drift = ScoreDrift()
    drift.drifts = lambda: [PolicyDrift("gore", is_outdated=False, scores=5, psi=0.1)]
    seen = [*families, *drift.collect()]
    return [family for family in seen if family.name.startswith("moderation_")]


def shown(family: Metric) -> tuple[str, str, str, set[str]]:
    labels = {label for sample in family.samples for label in sample.labels} - OF_A_HISTOGRAM
    return family.name, family.type, family.documentation, labels


def said(one: Described) -> tuple[str, str, str, set[str]]:
    return one.family, one.type, one.text, set(one.labels)


def by_name(families: Iterable[tuple[str, str, str, set[str]]]) -> dict[str, object]:
    return {name: rest for name, *rest in families}


def test_every_metric_is_what_is_said_of_it() -> None:
    assert by_name(map(shown, everything())) == by_name(map(said, METRICS.values()))


@pytest.mark.parametrize("one", METRICS.values(), ids=lambda one: one.family)
def test_the_unit_is_the_one_of_the_name(one: Described) -> None:
    suffix = f"_{one.family.rpartition('_')[2]}"

    assert one.unit
    assert one.unit.startswith(UNIT_BY_SUFFIX.get(suffix, ""))


def test_the_help_is_one_plain_sentence() -> None:
    one = Described("m", "info", "always 1", "[links](a.md#b) lose `code` and a place")

    assert (one.name, one.text) == ("m_info", "Links lose code and a place.")


def test_what_is_not_known_yet_or_not_there_is_not_shown() -> None:
    telemetry = PrometheusTelemetry()
    before = {family.name for family in telemetry.registry.collect() if family.type == "info"}
    telemetry.describe(build={"version": "1"}, encoder=an_encoder_info(), demanded_device="cpu")
    after = {family.name for family in telemetry.registry.collect() if family.type == "info"}

    assert before == set()
    assert after == {"moderation_build", "moderation_encoder"}
