"""Every metric of the service.

Names follow Prometheus' conventions: base units, `_total` on counters. Every
label has a small closed set of values; none carries an id or a text of a caller.
"""

from collections.abc import Callable, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

from moderation.adapters.prometheus.policies import Active, PolicyCounts, ReviewBudgets
from moderation.core.decision import Decision
from moderation.core.encoder import EncoderInfo
from moderation.core.errors import FailureCode, Problem
from moderation.core.policy import DEFAULT_PROFILE, Action, BoundEncoder
from moderation.service.activation import SetOrigin
from moderation.service.ports import ShadowOutcome, ShedReason

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
RELOAD_RESULTS = ("loaded", "unchanged", "rejected")
STAGES = ("decode", "queue", "encode", "score")


class _RequestMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.rpcs = Counter(
            "moderation_rpcs",
            "RPCs answered, by method and gRPC status code.",
            ["method", "code"],
            registry=registry,
        )
        self.rpc_seconds = Histogram(
            "moderation_rpc_duration_seconds",
            "Time to answer an RPC; for streams, the life of the stream.",
            ["method"],
            buckets=SECONDS,
            registry=registry,
        )
        self.decisions = Counter(
            "moderation_decisions",
            "Decisions, by action and profile.",
            ["action", "profile"],
            registry=registry,
        )
        self.unjudgeable = Counter(
            "moderation_unjudgeable",
            "Decisions on content that could not be judged, by failure code.",
            ["code"],
            registry=registry,
        )
        self.in_flight = Gauge(
            "moderation_in_flight", "Requests that were let in and not answered.", registry=registry
        )
        self.shed = Counter(
            "moderation_shed", "Requests turned away, by reason.", ["reason"], registry=registry
        )


class _EncodingMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.stage_seconds = Histogram(
            "moderation_stage_duration_seconds",
            "Time that decided content spent in each stage.",
            ["stage"],
            buckets=SECONDS,
            registry=registry,
        )
        self.queue_depth = Gauge(
            "moderation_queue_depth", "Frames that wait for the encoder.", registry=registry
        )
        self.batch_size = Histogram(
            "moderation_batch_size",
            "Frames encoded together.",
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self.batch_seconds = Histogram(
            "moderation_batch_duration_seconds",
            "Time that the encoder took for a batch.",
            buckets=SECONDS,
            registry=registry,
        )
        self.shadowed = Counter(
            "moderation_shadow_encodings",
            "Content offered to a second encoder, by outcome: recorded, dropped or failed.",
            ["outcome"],
            registry=registry,
        )


class _PolicyMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.reloads = Counter(
            "moderation_policy_reloads",
            "Policy reloads, by result: loaded, unchanged or rejected.",
            ["result"],
            registry=registry,
        )
        self.reload_failed = Gauge(
            "moderation_policy_reload_failed",
            "1 while the policy files cannot be used and the last good set is served.",
            registry=registry,
        )
        self.reload_seconds = Histogram(
            "moderation_policy_reload_duration_seconds",
            "Time from reading the policy files to their being active.",
            buckets=SECONDS,
            registry=registry,
        )
        self.for_another_encoder = Gauge(
            "moderation_policies_for_another_encoder",
            "1 while the active thresholds were set for an encoder that is not running.",
            registry=registry,
        )
        self.active = Gauge("moderation_policies", "Policies in the active set.", registry=registry)
        self.policy_set = Info(
            "moderation_policy_set", "Version of the active policy set.", registry=registry
        )
        self.age_seconds = Gauge(
            "moderation_policy_set_age_seconds",
            "Time since the active policy set became active.",
            registry=registry,
        )
        self.stale = Gauge(
            "moderation_policy_set_stale",
            "1 while the active policy set may not be what the policy files say.",
            registry=registry,
        )
        self.not_kept = Counter(
            "moderation_policy_sets_not_kept",
            "Activated policy sets that could not be kept on disk.",
            registry=registry,
        )


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
        self._requests = _RequestMetrics(self.registry)
        self._encoding = _EncodingMetrics(self.registry)
        self._policies = _PolicyMetrics(self.registry)
        self._counts, self._budgets = PolicyCounts(), ReviewBudgets()
        self.registry.register(self._counts)
        self.registry.register(self._budgets)
        self._ready = Gauge(
            "moderation_ready", "1 while the service answers requests.", registry=self.registry
        )
        self._build = Info("moderation_build", "What is running.", registry=self.registry)
        self._encoder = Info("moderation_encoder", "The encoder in use.", registry=self.registry)
        self._shadow_encoder = Info(
            "moderation_shadow_encoder",
            "The encoder that sees a share of the content, where there is one.",
            registry=self.registry,
        )
        self._show_zeros()

    def _show_zeros(self) -> None:
        """Make closed label sets visible from the start: a rate needs a first value."""
        for action in Action:
            self._requests.decisions.labels(action.name.lower(), DEFAULT_PROFILE)
        for reason in ShedReason:
            self._requests.shed.labels(reason.value)
        for code in FailureCode:
            self._requests.unjudgeable.labels(code.value)
        for result in RELOAD_RESULTS:
            self._policies.reloads.labels(result)
        for outcome in ShadowOutcome:
            self._encoding.shadowed.labels(outcome.value)
        for stage in STAGES:
            self._encoding.stage_seconds.labels(stage)

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """Count an RPC that was answered; `method` and `code` are closed sets."""
        self._requests.rpcs.labels(method, code).inc()
        self._requests.rpc_seconds.labels(method).observe(seconds)

    def decided(self, decision: Decision) -> None:
        """See Telemetry."""
        self._requests.decisions.labels(decision.action.name.lower(), decision.profile).inc()
        if decision.failure is not None:
            self._requests.unjudgeable.labels(decision.failure.code.value).inc()
            return
        for verdict in decision.verdicts:
            if verdict.action > Action.ALLOW:
                self._counts.judged(verdict)
        if decision.scores is not None:
            self._counts.scored(decision.scores)
        timings = decision.timings
        stages = (timings.decode_s, timings.queue_s, timings.encode_s, timings.score_s)
        for stage, seconds in zip(STAGES, stages, strict=True):
            self._encoding.stage_seconds.labels(stage).observe(seconds)

    def shed(self, reason: ShedReason) -> None:
        """See Telemetry."""
        self._requests.shed.labels(reason.value).inc()

    def queue_changed(self, depth: int) -> None:
        """See Telemetry."""
        self._encoding.queue_depth.set(depth)

    def batch_encoded(self, size: int, seconds: float) -> None:
        """See Telemetry."""
        self._encoding.batch_size.observe(size)
        self._encoding.batch_seconds.observe(seconds)

    def policies_loaded(
        self, *, version: str, policies: int, embedded: int, seconds: float, origin: SetOrigin
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

    def activation_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._policies.not_kept.inc()

    def policies_unchanged(self, *, version: str) -> None:
        """See Telemetry."""
        self._policies.reloads.labels("unchanged").inc()
        self._policies.reload_failed.set(0)

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """See Telemetry."""
        self._policies.reloads.labels("rejected").inc()
        self._policies.reload_failed.set(1)

    def describe(
        self, *, build: Mapping[str, str], encoder: EncoderInfo, shadow: EncoderInfo | None = None
    ) -> None:
        """Say once what is running."""
        self._build.info(dict(build))
        self._encoder.info(_labels(encoder))
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


def _labels(encoder: EncoderInfo) -> dict[str, str]:
    return {
        "encoder_id": encoder.encoder_id,
        "name": encoder.name,
        "family": encoder.family,
        "device": encoder.device,
    }
