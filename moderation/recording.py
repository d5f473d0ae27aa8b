"""From settings to the decision log, for the server that writes it and commands that read it."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

from moderation.adapters.decision_log.records import RecordCodec, Seal
from moderation.adapters.decision_log.retention import Retention
from moderation.adapters.decision_log.store import DecisionLogStore, Fsync, WriteRules
from moderation.service.decision_log import DecisionRecorder, LogStatus
from moderation.service.ports import Telemetry
from moderation.settings import Settings

MIN_KEY_BYTES = 16
TEND_EVERY_S = 1.0


class KeyUnusable(OSError):
    """A file with a key is missing or holds none."""


async def decision_recorder(
    settings: Settings, telemetry: Telemetry, clock: Callable[[], datetime], stack: AsyncExitStack
) -> tuple[DecisionRecorder, DecisionLogStore]:
    """What records decisions until the stack is closed; raises OSError."""
    chosen = settings.decision_log
    store = stack.enter_context(
        DecisionLogStore(
            Path(chosen.directory),
            rules=WriteRules(
                fsync=Fsync(chosen.fsync),
                fsync_every_s=chosen.fsync_every_s,
                segment_bytes=chosen.segment_bytes,
                segment_s=chosen.segment_s,
            ),
            retention=Retention(chosen.max_age_s or None, chosen.max_bytes or None),
            codec=record_codec(settings),
            clock=clock,
            monotonic=time.monotonic,
        )
    )
    writing = stack.enter_context(ThreadPoolExecutor(1, "decision-log"))
    recorder = DecisionRecorder(
        store,
        telemetry=telemetry,
        executor=writing,
        clock=clock,
        mandatory=chosen.mandatory,
        tend_every_s=min(TEND_EVERY_S, chosen.fsync_every_s),
    )
    return await stack.enter_async_context(recorder), store


def status_of(recorder: DecisionRecorder | None) -> Callable[[], LogStatus] | None:
    """How its recording goes, to be asked at any time; None without one."""
    return None if recorder is None else lambda: recorder.status


def record_codec(settings: Settings) -> RecordCodec:
    """How records are written and read; raises KeyUnusable."""
    chosen = settings.decision_log
    digest_key = _key(Path(chosen.digest_key_file)) if chosen.digest_key_file else b""
    return RecordCodec(
        keep_embeddings=chosen.keep_embeddings, digest_key=digest_key, seal=_seal(settings)
    )


def _seal(settings: Settings) -> Seal | None:
    """Raises KeyUnusable, or ImportError without the extra."""
    if not settings.decision_log.encryption_key_file:
        return None
    from moderation.adapters.decision_log.sealing import FernetSeal  # noqa: PLC0415 - an extra

    path = Path(settings.decision_log.encryption_key_file)
    try:
        return FernetSeal(_key(path).decode("ascii").split())
    except ValueError as error:
        raise KeyUnusable(f"{path}: holds no Fernet keys, one a line: {error}") from error


def _key(path: Path) -> bytes:
    try:
        key = path.read_bytes().strip()
    except OSError as error:
        raise KeyUnusable(f"{path}: the key cannot be read: {error.strerror}") from error
    if len(key) < MIN_KEY_BYTES:
        problem = f"the key has {len(key)} bytes; {MIN_KEY_BYTES} are the least"
        raise KeyUnusable(f"{path}: {problem}")
    return key
