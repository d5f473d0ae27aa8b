"""What a supervisor logs of its workers."""

from collections.abc import Mapping
from typing import Any

import structlog


class SupervisorLog:
    """Says once what all of them do, and each time that one is lost."""

    def __init__(self) -> None:
        self._log = structlog.get_logger("moderation")

    def started(self, worker: int, pid: int) -> None:
        """A process was started."""
        self._log.info("worker_started", worker=worker, pid=pid)

    def listening(
        self, *, address: str, metrics: str, policies: str, told: Mapping[str, Any]
    ) -> None:
        """The first one takes requests; `told` is what it said of its encoder."""
        self._log.info(
            "listening",
            address=address,
            tls=told["tls"],
            metrics=metrics,
            policies=policies,
            encoder=told["encoder"],
            encoder_id=told["encoder_id"][:12],
            device=told["device"],
        )
        if told["notice"]:
            self._log.warning("encoder_notice", encoder=told["encoder"], notice=told["notice"])

    def worker_serving(self, worker: int) -> None:
        """One answers requests from now on."""
        self._log.info("worker_serving", worker=worker)

    def serving(self, workers: int) -> None:
        """All do."""
        self._log.info("serving", workers=workers)

    def lost(self, worker: int, reason: str, pause_s: float) -> None:
        """One has died, and another one takes its place after a pause."""
        self._log.error(
            "worker_lost", worker=worker, reason=reason, replaced_in_s=round(pause_s, 1)
        )

    def silent(self, pid: int) -> None:
        """One hangs, and is killed."""
        self._log.error("worker_silent", pid=pid, what_follows="killed")

    def stopping(self) -> None:
        """All are asked to end."""
        self._log.info("stopping")
