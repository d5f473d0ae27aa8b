"""What the log tells: the events that an operator wants to read of, by stable names.

Never a phrase or a content id of a caller, a byte of an image, or a vector. docs/logs.md
lists the events.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

import structlog

from moderation.core.decision import Decision
from moderation.core.encoder import EncoderInfo
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
from moderation.service.ports import EmbeddedTexts

MOST_TOLD = 20
"""Problems of one rejected policy set; thousands of files can be broken by one change."""
LOSS: Mapping[DecoderLoss, str] = {
    DecoderLoss.CRASHED: "it died of a picture, which is answered as decoder_crashed",
    DecoderLoss.TIMEOUT: "it took too long for a picture, which is answered as decoder_timeout",
    DecoderLoss.MEMORY: "a picture needed too much memory, and is answered as too_large",
    DecoderLoss.IDLE: "something outside ended it while it had no picture; nobody else noticed",
}


class LogTelemetry:
    """Logs what an operator wants to read afterwards; the rest is left to metrics."""

    def __init__(self) -> None:
        # Bound once: left to itself, structlog builds a logger for every event, shown or not.
        self._log = structlog.get_logger("moderation").bind()
        self._rejected: tuple[Problem, ...] = ()
        """What was wrong when the policies were last read, if anything was."""
        self._unrecorded = ""
        """Why decisions could not be recorded when they last could not; empty since they can."""
        self._spans_lost = False
        """Since the collector of traces last took some."""
        self._recorded_in = ""
        """The directory of the decision log, once it is known."""
        self._unusable = ""
        """Why certificates could not be replaced when they last could not."""

    def decided(self, decision: Decision) -> None:
        """See Telemetry."""
        self._log.debug(
            "decided",
            decision_id=decision.decision_id,
            action=decision.action.name,
            deciding_policy=decision.deciding_policy_id,
            failure=decision.failure.code.value if decision.failure else None,
            total_s=round(decision.timings.total_s, 4),
        )

    def rpc_finished(self, method: str, code: str, seconds: float) -> None:
        """See Telemetry."""
        self._log.debug("rpc_finished", method=method, code=code, seconds=round(seconds, 4))

    def shed(self, reason: ShedReason) -> None:
        """See Telemetry."""
        self._log.debug("request_shed", reason=reason.value)

    def image_fetched(self, outcome: FetchOutcome, seconds: float) -> None:
        """See Telemetry; never where from."""
        self._log.debug("image_fetched", outcome=outcome.value, seconds=round(seconds, 3))

    def queue_changed(self, depth: int) -> None:
        """See Telemetry; too frequent for a log."""

    def batch_encoded(self, size: int, seconds: float) -> None:
        """See Telemetry; too frequent for a log."""

    def embedding_looked_up(self, lookup: Lookup) -> None:
        """See Telemetry; too frequent for a log."""

    def decoder_lost(self, loss: DecoderLoss) -> None:
        """See Telemetry."""
        self._log.warning("decoder_replaced", reason=loss.value, message=LOSS[loss])

    def cache_changed(self, n_bytes: int) -> None:
        """See Telemetry; too frequent for a log."""

    def limit_changed(self, max_in_flight: int) -> None:
        """See Telemetry."""
        self._log.debug("limit_changed", max_in_flight=max_in_flight)

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
        self._rejected = ()
        tell = self._log.info if origin is SetOrigin.SOURCE else self._log.warning
        tell(
            "policies_loaded",
            origin=origin.value,
            version=version[:12],
            policies=policies,
            texts_embedded=embedded.computed,
            texts_recalled=embedded.recalled,
            seconds=round(seconds, 3),
        )

    def activation_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._log.warning("activation_not_kept", reason=reason)

    def texts_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._log.warning("texts_not_kept", reason=reason)

    def embeddings_not_kept(self, reason: str) -> None:
        """See Telemetry."""
        self._log.warning("embeddings_not_kept", reason=reason)

    def policies_unchanged(self, *, version: str) -> None:
        """See Telemetry; after a rejection it means that the files were mended."""
        if self._rejected:
            self._log.info("policies_recovered", version=version[:12])
        else:
            self._log.debug("policies_unchanged", version=version[:12])
        self._rejected = ()

    def binding_checked(self, bound: BoundEncoder | None, *, suits: bool) -> None:
        """See Telemetry."""
        if bound is not None and not suits:
            self._log.warning(
                "policies_for_another_encoder",
                bound_to=bound.name,
                bound_encoder_id=bound.encoder_id[:12],
                file=bound.file,
            )

    def encoder_shadowed(self, outcome: ShadowOutcome) -> None:
        """See Telemetry; too frequent for a log."""

    def encoder_stuck(self, seconds: float) -> None:
        """See Telemetry."""
        self._log.error("encoder_stuck", seconds=round(seconds, 1), what_follows="broken off")

    def encoder_lost(self) -> None:
        """A batch that was broken off goes on; the process ends, for its supervisor to restart."""
        self._log.critical("encoder_lost", what_follows="exit, to be started anew")

    def policies_rejected(self, problems: Sequence[Problem]) -> None:
        """See Telemetry; the same problems, found again, are old news."""
        if tuple(problems) == self._rejected:
            return
        self._rejected = tuple(problems)
        for problem in problems[:MOST_TOLD]:
            self._log.error("policies_rejected", problem=str(problem))
        if (more := len(problems) - MOST_TOLD) > 0:
            told = f"and {more} more, which `moderation policy lint` lists"
            self._log.error("policies_rejected", problem=told)

    def decisions_recorded(self, count: int, n_bytes: int) -> None:
        """See Telemetry; too frequent for a log, but for the first after a failure."""
        if self._unrecorded:
            self._log.info("decision_log_recovered")
        self._unrecorded = ""

    def decision_not_recorded(self, reason: str) -> None:
        """See Telemetry; `recording_failed` has told it."""

    def recording_failed(self, reason: str) -> None:
        """See Telemetry; the same failure again is old news."""
        if reason != self._unrecorded:
            self._log.error("decision_log_failed", reason=reason, directory=self._recorded_in)
        self._unrecorded = reason

    def spans_sent(self, count: int) -> None:
        """See Telemetry; too frequent for a log, but for the first after a loss."""
        if self._spans_lost:
            self._log.info("spans_sent_again")
        self._spans_lost = False

    def spans_lost(self, count: int, loss: SpanLoss) -> None:
        """See Telemetry; further losses are counted, and old news."""
        if not self._spans_lost:
            self._log.warning("spans_lost", reason=loss.value)
        self._spans_lost = True

    def recording(self, *, directory: str, torn_bytes: int, mandatory: bool) -> None:
        """Say where decisions are recorded, and what a crash had left there."""
        self._recorded_in = directory
        self._log.info("decision_log", directory=directory, mandatory=mandatory)
        if torn_bytes:
            self._log.warning("decision_log_torn_line_removed", bytes=torn_bytes)

    def certificates_loaded(
        self,
        *,
        serial: str,
        not_after: datetime,
        client_ca_not_after: datetime | None,
        key_is_exposed: bool,
    ) -> None:
        """See CertificateTelemetry."""
        self._unusable = ""
        self._log.info(
            "certificates_loaded",
            serial=serial,
            not_after=not_after.isoformat(),
            client_ca_not_after=client_ca_not_after and client_ca_not_after.isoformat(),
        )
        if key_is_exposed:
            cure = "chmod o-r the file of tls.key_file"
            self._log.warning("private_key_exposed", cure=cure)

    def certificates_rejected(self, reason: str) -> None:
        """See CertificateTelemetry; the same reason again is old news."""
        if reason != self._unusable:
            self._log.error("certificates_rejected", reason=reason, what_follows="the last serve")
        self._unusable = reason

    def listening(
        self, *, address: str, tls: bool, metrics: str, policies: str, encoder: EncoderInfo
    ) -> None:
        """Say where requests go and policies come from, and what the encoder cannot see.

        The latter only if it must be known.
        """
        self._log.info(
            "listening",
            address=address,
            tls=tls,
            metrics=metrics,
            policies=policies,
            encoder=encoder.name,
            encoder_id=encoder.encoder_id[:12],
            device=encoder.device,
        )
        if encoder.notice:
            self._log.warning("encoder_notice", encoder=encoder.name, notice=encoder.notice)

    def package_taken(self, *, serial: int, sha256: str, key: str) -> None:
        """Say which signed package the policies come from now, and whose key has signed it."""
        self._log.info("policy_package_taken", serial=serial, sha256=sha256[:12], key=key)

    def tracing(self, *, endpoint: str, sample_ratio: float) -> None:
        """Say where traces go, and the share of those that are begun here."""
        self._log.info("tracing", endpoint=endpoint, sample_ratio=sample_ratio)

    def encoder_misfit(self, reason: str) -> None:
        """Say why another bundle of this model would run better here."""
        self._log.warning("encoder_misfit", reason=reason)

    def shadowing(self, encoder: EncoderInfo, *, share: float, directory: str) -> None:
        """Say that a second encoder sees a share of the content, and where its scores go."""
        self._log.info(
            "shadow_encoder",
            encoder=encoder.name,
            encoder_id=encoder.encoder_id[:12],
            device=encoder.device,
            share=share,
            pairs=directory,
        )

    def serving(self) -> None:
        """Say that requests are answered from now on."""
        self._log.info("serving")

    def not_serving(self) -> None:
        """Requests are not answered for now; the policies or the encoder have told why."""

    def too_old(self) -> None:
        """Say that the policies were not confirmed for longer than is allowed."""
        self._log.error("policies_too_old", cure="make the policy files readable again")

    def connections_full(self, count: int) -> None:
        """Say that whoever connects now is turned away."""
        cure = "raise server.max_connections, and the limit of file descriptors with it"
        self._log.warning("connections_full", connections=count, cure=cure)

    def stopping(self) -> None:
        """Say that no more requests are taken."""
        self._log.info("stopping")

    def stop_overdue(self) -> None:
        """Say that something hangs which the end of the process would wait for."""
        self._log.critical("stop_overdue", what_follows="exit without waiting for what hangs")

    def bug(self, incident_id: str, error: BaseException) -> None:
        """Log a bug once, with its traceback, under the id that the caller was given."""
        self._log.error("bug", incident_id=incident_id, exc_info=error)
