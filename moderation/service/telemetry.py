"""Tells several audiences at once: metrics, logs, and whatever comes later."""

import logging
from collections.abc import Callable, Sequence

from moderation.core.decision import Decision
from moderation.core.errors import Problem
from moderation.core.policy import BoundEncoder
from moderation.service.activation import SetOrigin
from moderation.service.outcomes import (
    DecoderLoss,
    FetchOutcome,
    Lookup,
    ShadowOutcome,
    ShedReason,
    SpanLoss,
)
from moderation.service.ports import EmbeddedTexts, Telemetry

log = logging.getLogger(__name__)


class FanOutTelemetry:
    """Passes every event on to each audience, in order.

    An audience that raises costs neither the request nor the other audiences
    anything; the first time is logged, further ones would only fill the disk.
    """

    def __init__(self, *audiences: Telemetry) -> None:
        self._audiences = audiences
        self._failed: set[int] = set()

    def decided(self, decision: Decision) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.decided(decision))

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.rpc_finished(method, code, seconds))

    def shed(self, reason: ShedReason) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.shed(reason))

    def image_fetched(self, outcome: FetchOutcome, seconds: float) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.image_fetched(outcome, seconds))

    def queue_changed(self, depth: int) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.queue_changed(depth))

    def batch_encoded(self, size: int, seconds: float) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.batch_encoded(size, seconds))

    def embedding_looked_up(self, lookup: Lookup) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.embedding_looked_up(lookup))

    def decoder_lost(self, loss: DecoderLoss) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.decoder_lost(loss))

    def cache_changed(self, n_bytes: int) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.cache_changed(n_bytes))

    def limit_changed(self, max_in_flight: int) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.limit_changed(max_in_flight))

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
        self._tell(
            lambda audience: audience.policies_loaded(
                version=version,
                policies=policies,
                embedded=embedded,
                seconds=seconds,
                origin=origin,
            )
        )

    def activation_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.activation_not_kept(reason))

    def texts_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.texts_not_kept(reason))

    def embeddings_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.embeddings_not_kept(reason))

    def policies_unchanged(self, *, version: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.policies_unchanged(version=version))

    def binding_checked(self, bound: BoundEncoder | None, *, suits: bool) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.binding_checked(bound, suits=suits))

    def encoder_shadowed(self, outcome: ShadowOutcome) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.encoder_shadowed(outcome))

    def encoder_stuck(self, seconds: float) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.encoder_stuck(seconds))

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.policies_rejected(problems))

    def decisions_recorded(self, count: int, n_bytes: int) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.decisions_recorded(count, n_bytes))

    def decision_not_recorded(self, reason: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.decision_not_recorded(reason))

    def recording_failed(self, reason: str) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.recording_failed(reason))

    def spans_sent(self, count: int) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.spans_sent(count))

    def spans_lost(self, count: int, loss: SpanLoss) -> None:
        """See Telemetry."""
        self._tell(lambda audience: audience.spans_lost(count, loss))

    def _tell(self, event: Callable[[Telemetry], None]) -> None:
        for position, audience in enumerate(self._audiences):
            try:
                event(audience)
            except Exception:  # a broken metric must not fail a request or end the batch loop
                if position not in self._failed:
                    self._failed.add(position)
                    log.exception(
                        "telemetry failed: %s",
                        type(audience).__name__,
                        extra={"event": "telemetry_failed"},
                    )
