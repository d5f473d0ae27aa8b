"""The metrics by what they are about, each registered by its name."""

from prometheus_client import CollectorRegistry

from moderation.adapters.prometheus import catalog

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
RELOAD_RESULTS = ("loaded", "unchanged", "rejected")
CODES = (
    "OK",
    "UNKNOWN",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "ABORTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
)
"""The gRPC status codes that alerts and objectives count."""
STAGES = ("decode", "queue", "encode", "score")


class RequestMetrics:
    """Of requests, answered or not."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rpcs = catalog.counter("moderation_rpcs", registry)
        self.rpc_seconds = catalog.histogram(
            "moderation_rpc_duration_seconds", registry, buckets=SECONDS
        )
        self.decisions = catalog.counter("moderation_decisions", registry)
        self.unjudgeable = catalog.counter("moderation_unjudgeable", registry)
        self.in_flight = catalog.gauge("moderation_in_flight", registry)
        self.connections = catalog.gauge("moderation_connections", registry)
        self.shed = catalog.counter("moderation_shed", registry)
        self.limit = catalog.gauge("moderation_admission_limit", registry)


class FetchMetrics:
    """Of images that requests name instead of carrying them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetches = catalog.counter("moderation_image_fetches", registry)
        self.seconds = catalog.histogram(
            "moderation_image_fetch_duration_seconds", registry, buckets=SECONDS
        )


class EncodingMetrics:
    """Of what happens between bytes and embeddings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.stage_seconds = catalog.histogram(
            "moderation_stage_duration_seconds", registry, buckets=SECONDS
        )
        self.queue_depth = catalog.gauge("moderation_queue_depth", registry)
        self.batch_size = catalog.histogram("moderation_batch_size", registry, buckets=BATCH_SIZES)
        self.batch_seconds = catalog.histogram(
            "moderation_batch_duration_seconds", registry, buckets=SECONDS
        )
        self.lookups = catalog.counter("moderation_embedding_lookups", registry)
        self.cache_bytes = catalog.gauge("moderation_embedding_cache_bytes", registry)
        self.decoders_lost = catalog.counter("moderation_decoder_restarts", registry)
        self.stuck = catalog.counter("moderation_encoder_stuck", registry)
        self.shadowed = catalog.counter("moderation_shadow_encodings", registry)


class PolicyMetrics:
    """Of the policy set and its reloads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.reloads = catalog.counter("moderation_policy_reloads", registry)
        self.reload_failed = catalog.gauge("moderation_policy_reload_failed", registry)
        self.reload_seconds = catalog.histogram(
            "moderation_policy_reload_duration_seconds", registry, buckets=SECONDS
        )
        self.for_another_encoder = catalog.gauge(
            "moderation_policies_for_another_encoder", registry
        )
        self.active = catalog.gauge("moderation_policies", registry)
        self.policy_set = catalog.LateInfo("moderation_policy_set", registry)
        self.age_seconds = catalog.gauge("moderation_policy_set_age_seconds", registry)
        self.stale = catalog.gauge("moderation_policy_set_stale", registry)
        self.not_kept = catalog.counter("moderation_policy_sets_not_kept", registry)


class RecordMetrics:
    """Of the decision log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = catalog.counter("moderation_decision_log_records", registry)
        self.n_bytes = catalog.counter("moderation_decision_log_bytes", registry)
        self.batch_size = catalog.histogram(
            "moderation_decision_log_batch_size", registry, buckets=BATCH_SIZES
        )
        self.waiting = catalog.gauge("moderation_decision_log_waiting", registry)
        self.failures = catalog.counter("moderation_decision_log_failures", registry)
        self.failing = catalog.gauge("moderation_decision_log_failing", registry)
        self.lost = catalog.counter("moderation_decision_log_lost", registry)


class TraceMetrics:
    """Of the traces that are sent to a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = catalog.counter("moderation_spans_sent", registry)
        self.lost = catalog.counter("moderation_spans_lost", registry)
