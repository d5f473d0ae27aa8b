"""What becomes of things, in small closed sets of words that are safe as metric labels."""

from enum import StrEnum


class ShedReason(StrEnum):
    """Why a request was turned away; a small closed set, safe as a metric label."""

    QUEUE_FULL = "queue_full"
    IN_FLIGHT = "in_flight"
    IN_FLIGHT_BYTES = "in_flight_bytes"
    LATENCY = "latency"
    DEADLINE = "deadline"
    MEMORY = "memory"
    FETCHES = "fetches"
    """So many images are being fetched already."""
    TENANT_IN_FLIGHT = "tenant_in_flight"
    TENANT_BYTES = "tenant_bytes"
    TENANT_RATE = "tenant_rate"


OF_TENANT = frozenset(
    {ShedReason.TENANT_IN_FLIGHT, ShedReason.TENANT_BYTES, ShedReason.TENANT_RATE}
)
"""Reasons that hold for one tenant, whatever room there is."""


class Lookup(StrEnum):
    """How an embedding was come by; a small closed set, safe as a metric label."""

    HIT = "hit"
    STORED = "stored"
    """Not in memory, but on disk."""
    MISS = "miss"
    SHARED = "shared"
    """Another caller's encoding of the same bytes was under way."""


class FetchOutcome(StrEnum):
    """What became of an image that a request named; safe as a metric label."""

    FETCHED = "fetched"
    REFUSED = "refused"
    """The name is not allowed, or leads to nothing: only the caller can mend that."""
    UNAVAILABLE = "unavailable"
    """Its host did not answer as it should, or in time."""


class ShadowOutcome(StrEnum):
    """What became of content that a second encoder was to see; safe as a metric label."""

    RECORDED = "recorded"
    DROPPED = "dropped"
    FAILED = "failed"


class DecoderLoss(StrEnum):
    """Why a decoding process was replaced; a small closed set, safe as a metric label."""

    CRASHED = "crashed"
    """It died of a picture."""
    TIMEOUT = "timeout"
    """It was ended: a picture took too long."""
    MEMORY = "memory"
    """A picture took all the memory that it may have."""
    IDLE = "idle"
    """It died with nothing to do: something outside ended it."""


class SpanLoss(StrEnum):
    """Why a span did not arrive where traces are collected; safe as a metric label."""

    QUEUE_FULL = "queue_full"
    """More came than could be sent on."""
    NOT_TAKEN = "not_taken"
    """The collector could not be reached, or would not have it."""
