"""The metrics by what they are about, each with its name, help and labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

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
        self.limit = Gauge(
            "moderation_admission_limit",
            "Interactive requests that may be under way, as the measured wait allows.",
            registry=registry,
        )


class FetchMetrics:
    """Of images that requests name instead of carrying them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.fetches = Counter(
            "moderation_image_fetches",
            "Images that requests named: fetched, refused or unavailable.",
            ["outcome"],
            registry=registry,
        )
        self.seconds = Histogram(
            "moderation_image_fetch_duration_seconds",
            "Time to fetch an image that a request named.",
            buckets=SECONDS,
            registry=registry,
        )


class EncodingMetrics:
    """Of what happens between bytes and embeddings."""

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
        self.lookups = Counter(
            "moderation_embedding_lookups",
            "Contents whose embeddings were wanted: hit, miss, or shared with one under way.",
            ["result"],
            registry=registry,
        )
        self.cache_bytes = Gauge(
            "moderation_embedding_cache_bytes",
            "Memory that the cache of embeddings takes.",
            registry=registry,
        )
        self.decoders_lost = Counter(
            "moderation_decoder_restarts",
            "Decoding processes that were replaced, by reason: crashed, timeout, memory or idle.",
            ["reason"],
            registry=registry,
        )
        self.stuck = Counter(
            "moderation_encoder_stuck",
            "Batches broken off because they computed for too long.",
            registry=registry,
        )
        self.shadowed = Counter(
            "moderation_shadow_encodings",
            "Content offered to a second encoder, by outcome: recorded, dropped or failed.",
            ["outcome"],
            registry=registry,
        )


class PolicyMetrics:
    """Of the policy set and its reloads."""

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


class RecordMetrics:
    """Of the decision log."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.records = Counter(
            "moderation_decision_log_records",
            "Decisions written to the decision log.",
            registry=registry,
        )
        self.n_bytes = Counter(
            "moderation_decision_log_bytes",
            "Bytes written to the decision log.",
            registry=registry,
        )
        self.batch_size = Histogram(
            "moderation_decision_log_batch_size",
            "Decisions written together.",
            buckets=BATCH_SIZES,
            registry=registry,
        )
        self.waiting = Gauge(
            "moderation_decision_log_waiting",
            "Answers that wait for their record to be written.",
            registry=registry,
        )
        self.failures = Counter(
            "moderation_decision_log_failures",
            "Attempts to write or tend the decision log that failed.",
            registry=registry,
        )
        self.failing = Gauge(
            "moderation_decision_log_failing",
            "1 while the last attempt to write the decision log failed.",
            registry=registry,
        )
        self.lost = Counter(
            "moderation_decision_log_lost",
            "Decisions that were answered without a record.",
            registry=registry,
        )


class TraceMetrics:
    """Of the traces that are sent to a collector."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.sent = Counter(
            "moderation_spans_sent", "Spans that the collector took.", registry=registry
        )
        self.lost = Counter(
            "moderation_spans_lost",
            "Spans that were dropped, by reason: queue_full or not_taken.",
            ["reason"],
            registry=registry,
        )
