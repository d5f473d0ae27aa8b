"""Shows a share of the content to a second encoder, after it was answered, and keeps both scores.

Nothing here may cost an answer anything: content is offered without waiting,
dropped while the second encoder is busy, and whatever fails is only counted.
"""

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from moderation.core.comparison import Pair, Pairing
from moderation.core.content import Content, content_digest
from moderation.core.encoder import EncoderInfo, require_unit_rows
from moderation.core.errors import NotReady
from moderation.core.policy import PolicySet
from moderation.core.scoring import CompiledPolicies, Scores, score
from moderation.service.outcomes import ShadowOutcome
from moderation.service.policy_store import PolicyStore
from moderation.service.ports import ImageDecoder, ImageEncoder, PairSink, Telemetry, TextEncoder
from moderation.service.telemetry import FanOutTelemetry

DIGEST_BYTES = 8


class Shadow(Protocol):
    """Whoever wants to see content that was scored."""

    def offer(self, content: Content, scores: Scores, compiled: CompiledPolicies) -> None:
        """Take it or leave it, at once; raises nothing."""
        ...


@dataclass(frozen=True, slots=True)
class SecondEncoder:
    """Everything that the second encoder needs to judge on its own."""

    info: EncoderInfo
    images: ImageEncoder
    texts: TextEncoder
    decoder: ImageDecoder


@dataclass(frozen=True, slots=True)
class ShadowLimits:
    """How much of the content the second encoder sees, and how much may wait for it."""

    share: float
    max_waiting: int


@dataclass(frozen=True, slots=True)
class _Entry:
    content: Content
    scores: Scores
    compiled: CompiledPolicies


class _HeldPolicies:
    """A policy source that holds the set by which the first encoder has judged."""

    def __init__(self) -> None:
        self.holds: PolicySet | None = None

    def load(self) -> PolicySet:
        """See PolicySource."""
        assert self.holds is not None, "a set is held before every load"
        return self.holds


class EncoderShadow:
    """Judges a share of the content by the second encoder, one at a time, on `executor`."""

    def __init__(
        self,
        second: SecondEncoder,
        *,
        limits: ShadowLimits,
        sink: PairSink,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        executor: Executor,
    ) -> None:
        self._second = second
        self._share = limits.share
        self._sink = sink
        self._telemetry = telemetry
        self._executor = executor
        self._waiting: asyncio.Queue[_Entry] = asyncio.Queue(limits.max_waiting)
        self._held = _HeldPolicies()
        self._policies = PolicyStore(
            source=self._held,
            text_encoder=second.texts,
            encoder=second.info,
            telemetry=FanOutTelemetry(),
            clock=clock,
            executor=executor,
        )
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start judging what is offered."""
        self._worker = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; what waits is forgotten, for nobody waits for it."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    def offer(self, content: Content, scores: Scores, compiled: CompiledPolicies) -> None:
        """See Shadow; the same content id is always inside the share, or always outside."""
        if not is_sampled(content.content_id, self._share):
            return
        try:
            self._waiting.put_nowait(_Entry(content, scores, compiled))
        except asyncio.QueueFull:
            self._telemetry.encoder_shadowed(ShadowOutcome.DROPPED)

    async def settled(self) -> None:
        """Return once everything offered so far has been judged."""
        await self._waiting.join()

    async def _run(self) -> None:
        while True:
            entry = await self._waiting.get()
            outcome = ShadowOutcome.FAILED
            with suppress(Exception):  # it may fail as it likes: the first encoder answers
                await self._shadow(entry)
                outcome = ShadowOutcome.RECORDED
            self._telemetry.encoder_shadowed(outcome)
            self._waiting.task_done()

    async def _shadow(self, entry: _Entry) -> None:
        self._held.holds = entry.compiled.policy_set
        await self._policies.reload()
        compiled = self._policies.current
        if compiled.policy_set.version != entry.compiled.policy_set.version:
            raise NotReady("the second encoder could not embed the phrases")
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._executor, self._record, entry, compiled)

    def _record(self, entry: _Entry, compiled: CompiledPolicies) -> None:
        frames = self._second.decoder.decode(entry.content.image)
        embeddings = require_unit_rows(self._second.images.encode_images(frames), rows=len(frames))
        old, new = entry.scores, score(embeddings, compiled)
        by_policy = {
            policy_id: (float(old.score[place]), float(new.score[compiled.positions[policy_id]]))
            for policy_id, place in entry.compiled.positions.items()
        }
        pairing = Pairing(
            old_encoder=entry.compiled.encoder_id,
            new_encoder=compiled.encoder_id,
            policy_set_version=compiled.policy_set.version,
        )
        self._sink.record(Pair(digest_of(entry.content), by_policy, pairing))


def is_sampled(content_id: str, share: float) -> bool:
    """Whether a content is inside the share; a larger share holds all of a smaller one."""
    digest = hashlib.sha256(content_id.encode()).digest()[:DIGEST_BYTES]
    return int.from_bytes(digest) < int(share * 256**DIGEST_BYTES)


def digest_of(content: Content) -> str:
    """By which the same picture is known again; not by its id, which is the caller's."""
    return short_digest(content_digest(content.image))


def short_digest(digest: bytes) -> str:
    """What pairs of scores call a content, by the sha256 of its bytes."""
    return digest.hex()[: 2 * DIGEST_BYTES]
