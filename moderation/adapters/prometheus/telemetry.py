"""Every metric of the service.

Names follow Prometheus' conventions: base units, `_total` on counters. Every
label has a small closed set of values; none carries an id or a text of a caller.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from moderation.adapters.prometheus import catalog
from moderation.adapters.prometheus.access import AccessMetrics, TenantMetrics
from moderation.adapters.prometheus.drift import ScoreDrift
from moderation.adapters.prometheus.families import (
    CODES,
    RELOAD_RESULTS,
    STAGES,
    EncodingMetrics,
    FetchMetrics,
    PolicyMetrics,
    RecordMetrics,
    RequestMetrics,
    TraceMetrics,
)
from moderation.adapters.prometheus.gpus import GpuMetrics
from moderation.adapters.prometheus.policies import Active, PolicyCounts, ReviewBudgets
from moderation.adapters.prometheus.pools import PoolMetrics
from moderation.adapters.prometheus.transport import CertificateMetrics
from moderation.core.decision import Decision, PolicyScores
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import FailureCode, Problem
from moderation.core.policy import DEFAULT_PROFILE, Action, BoundEncoder
from moderation.service.activation import SetOrigin
from moderation.service.drift import DriftWatch
from moderation.service.outcomes import (
    DecoderLoss,
    FetchOutcome,
    Lookup,
    ShadowOutcome,
    ShedReason,
    SpanLoss,
)
from moderation.service.ports import EmbeddedTexts
from moderation.service.request_context import current_request


class PrometheusTelemetry:
    """Fulfils the service's and the gRPC adapter's telemetry with metrics in its own registry.

    The labels `policy` and `profile` hold names from the policy files, never
    from requests.
    """

    def __init__(self) -> None:
        # It would add a second series for every counter, which nothing here reads.
        disable_created_metrics()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._requests = RequestMetrics(self.registry)
        self._fetching = FetchMetrics(self.registry)
        self._encoding = EncodingMetrics(self.registry)
        self._policies = PolicyMetrics(self.registry)
        self._records = RecordMetrics(self.registry)
        self._traces = TraceMetrics(self.registry)
        self.access = AccessMetrics(self.registry)
        self.certificates = CertificateMetrics(self.registry)
        self.tenants, self.gpus, self.pools = TenantMetrics(), GpuMetrics(), PoolMetrics()
        self._counts, self._budgets, self._drift = PolicyCounts(), ReviewBudgets(), ScoreDrift()
        asked = self.tenants, self.gpus, self.pools, self._counts, self._budgets, self._drift
        for collector in asked:
            self.registry.register(collector)
        self._count_drift: Callable[[PolicyScores], None] | None = None
        self._ready = catalog.gauge("moderation_ready", self.registry)
        self._build = catalog.LateInfo("moderation_build", self.registry)
        self._encoder = catalog.LateInfo("moderation_encoder", self.registry)
        self._shadow_encoder = catalog.LateInfo("moderation_shadow_encoder", self.registry)
        # Looking a series up by its labels takes longer than counting, and every request counts.
        self._rpcs = cache(self._requests.rpcs.labels)
        self._rpc_seconds = cache(self._requests.rpc_seconds.labels)
        self._sheds = cache(self._requests.shed.labels)
        self._decisions = cache(self._requests.decisions.labels)
        self._stage_seconds = cache(self._encoding.stage_seconds.labels)
        self._show_zeros()

    def _show_zeros(self) -> None:
        """Make closed label sets visible from the start: a rate needs a first value."""
        for action in Action:
            self._requests.decisions.labels(action.name.lower(), DEFAULT_PROFILE)
        closed: tuple[tuple[Counter | Histogram, Iterable[str]], ...] = (
            (self._requests.shed, ShedReason),
            (self._requests.unjudgeable, FailureCode),
            (self._policies.reloads, RELOAD_RESULTS),
            (self._fetching.fetches, FetchOutcome),
            (self._encoding.lookups, Lookup),
            (self._encoding.decoders_lost, DecoderLoss),
            (self._encoding.shadowed, ShadowOutcome),
            (self._encoding.stage_seconds, STAGES),
            (self._traces.lost, SpanLoss),
        )
        for family, values in closed:
            for value in values:
                family.labels(value)

    def show_methods(self, methods: Iterable[str]) -> None:
        """Have these counted from 0 on: the first failure of one would be no increase otherwise."""
        for method, code in product(methods, CODES):
            self._requests.rpcs.labels(method, code)

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """See Telemetry; a request whose spans are kept is an exemplar of its duration."""
        request = current_request()
        exemplar = {"trace_id": request.trace_id} if request.is_sampled else None
        self._rpcs(method, code).inc()
        self._rpc_seconds(method).observe(seconds, exemplar)

    def decided(self, decision: Decision) -> None:
        """See Telemetry."""
        self._decisions(decision.action.name.lower(), decision.profile).inc()
        if decision.failure is not None:
            self._requests.unjudgeable.labels(decision.failure.code.value).inc()
            return
        for verdict in decision.verdicts:
            if verdict.action > Action.ALLOW:
                self._counts.judged(verdict)
        if decision.scores is not None:
            self._counts.scored(decision.scores)
            if self._count_drift is not None:
                self._count_drift(decision.scores)
        timings = decision.timings
        stages = (timings.decode_s, timings.queue_s, timings.encode_s, timings.score_s)
        for stage, seconds in zip(STAGES, stages, strict=True):
            self._stage_seconds(stage).observe(seconds)

    def shed(self, reason: ShedReason) -> None:
        """See Telemetry."""
        self._sheds(reason.value).inc()

    def image_fetched(self, outcome: FetchOutcome, seconds: float) -> None:
        """See Telemetry."""
        self._fetching.fetches.labels(outcome.value).inc()
        self._fetching.seconds.observe(seconds)

    def queue_changed(self, depth: int) -> None:
        """See Telemetry."""
        self._encoding.queue_depth.set(depth)

    def batch_encoded(self, size: int, seconds: float) -> None:
        """See Telemetry."""
        self._encoding.batch_size.observe(size)
        self._encoding.batch_seconds.observe(seconds)

    def embedding_looked_up(self, lookup: Lookup) -> None:
        """See Telemetry."""
        self._encoding.lookups.labels(lookup.value).inc()

    def decoder_lost(self, loss: DecoderLoss) -> None:
        """See Telemetry."""
        self._encoding.decoders_lost.labels(loss.value).inc()

    def cache_changed(self, n_bytes: int) -> None:
        """See Telemetry."""
        self._encoding.cache_bytes.set(n_bytes)

    def limit_changed(self, max_in_flight: int) -> None:
        """See Telemetry."""
        self._requests.limit.set(max_in_flight)

    def policies_loaded(
        self,
        *,
        version: str,
        policies: int,
        embedded: EmbeddedTexts,
        seconds: float,
        origin: SetOrigin,
    ) -> None:
        """See Telemetry."""
        self._policies.reloads.labels("loaded").inc()
        self._policies.reload_failed.set(0)
        self._policies.reload_seconds.observe(seconds)
        self._policies.active.set(policies)
        self._policies.policy_set.info({"version": version})

    def binding_checked(self, bound: BoundEncoder | None, *, suits: bool) -> None:
        """See Telemetry."""
        self._policies.for_another_encoder.set(not suits)

    def encoder_shadowed(self, outcome: ShadowOutcome) -> None:
        """See Telemetry."""
        self._encoding.shadowed.labels(outcome.value).inc()

    def encoder_stuck(self, seconds: float) -> None:
        """See Telemetry."""
        self._encoding.stuck.inc()

    def activation_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._policies.not_kept.inc()

    def texts_not_kept(self, reason: str) -> None:
        """See Telemetry; it costs time at a start, which is measured."""

    def embeddings_not_kept(self, reason: str) -> None:
        """See Telemetry; lookups that are stored come to an end, which is counted."""

    def policies_unchanged(self, *, version: str) -> None:
        """See Telemetry."""
        self._policies.reloads.labels("unchanged").inc()
        self._policies.reload_failed.set(0)

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """See Telemetry."""
        self._policies.reloads.labels("rejected").inc()
        self._policies.reload_failed.set(1)

    def decisions_recorded(self, count: int, n_bytes: int) -> None:
        """See Telemetry."""
        self._records.records.inc(count)
        self._records.n_bytes.inc(n_bytes)
        self._records.batch_size.observe(count)
        self._records.failing.set(0)

    def decision_not_recorded(self, reason: str) -> None:
        """See Telemetry."""
        self._records.lost.inc()

    def recording_failed(self, reason: str) -> None:
        """See Telemetry."""
        self._records.failures.inc()
        self._records.failing.set(1)

    def spans_sent(self, count: int) -> None:
        """See Telemetry."""
        self._traces.sent.inc(count)

    def spans_lost(self, count: int, loss: SpanLoss) -> None:
        """See Telemetry."""
        self._traces.lost.labels(loss.value).inc(count)

    def describe(
        self,
        *,
        build: Mapping[str, str],
        encoder: EncoderInfo,
        demanded_device: str,
        shadow: EncoderInfo | None = None,
    ) -> None:
        """Say once what is running; `demanded_device` is its kind, without a number."""
        self._build.info(dict(build))
        self._encoder.info(_labels(encoder) | {"demanded_device": demanded_device})
        if shadow is not None:
            self._shadow_encoder.info(_labels(shadow))

    def watch(
        self,
        *,
        policy_age_s: Callable[[], float],
        policies_stale: Callable[[], bool],
        review_budgets: Callable[[], Mapping[str, float]],
        ready: Callable[[], bool],
        in_flight: Callable[[], int],
        active: Active,
    ) -> None:
        """Ask for these at every scrape, rather than when they last changed."""
        self._policies.age_seconds.set_function(policy_age_s)
        self._policies.stale.set_function(lambda: float(policies_stale()))
        self._budgets.budgets = review_budgets
        self._requests.in_flight.set_function(in_flight)
        self._counts.active = active
        self._ready.set_function(lambda: float(ready()))

    def watch_drift(self, watch: DriftWatch) -> None:
        """Have it count every score, and ask it at every scrape."""
        self._count_drift = watch.scored
        self._drift.drifts = watch.drifts

    def watch_connections(self, connections: Callable[[], int]) -> None:
        """Ask at every scrape how many there are."""
        self._requests.connections.set_function(connections)

    def watch_records(self, waiting: Callable[[], int]) -> None:
        """Ask at every scrape how many answers wait for their record."""
        self._records.waiting.set_function(waiting)


def _labels(encoder: EncoderInfo) -> dict[str, str]:
    return {
        "encoder_id": encoder.encoder_id,
        "name": encoder.name,
        "family": encoder.family,
        "device": encoder.device,
    }
