"""Builds everything that judges, from settings: the engine, without a way in from the network."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import numpy as np

from moderation.adapters.encoder_pairs import PairStore
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.memory import MemoryGauge
from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import BindingRule
from moderation.core.solving import OnStale
from moderation.decoding import decoding
from moderation.loading import (
    embedding_memory,
    kept_texts,
    load_first_encoder,
    load_second_encoder,
)
from moderation.policies import calibrated_policies
from moderation.rehearsal import activation_check, recent_keeper
from moderation.service.admission import Limits
from moderation.service.batching import Batcher
from moderation.service.binding import BindingGuard, BoundPolicyKeeper, BoundPolicySource
from moderation.service.decision_log import RECORDS_NOTHING
from moderation.service.embedding_cache import EmbeddingCache
from moderation.service.embedding_memory import NO_MEMORY
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.fetching import NO_FETCHING
from moderation.service.keeping import NO_KEEPER
from moderation.service.moderator import Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.policy_tests import See
from moderation.service.pools import PoolUse, ProcessUse
from moderation.service.ports import (
    DecisionLog,
    ImageDecoder,
    ImageFetcher,
    PolicyKeeper,
    PolicySource,
    Telemetry,
    TextEncoder,
)
from moderation.service.recent import keep_nothing
from moderation.service.shadowing import EncoderShadow, SecondEncoder, ShadowLimits
from moderation.service.tracing import NO_TRACER, Tracer
from moderation.service.watchdog import Watchdog
from moderation.settings import Settings

LEAST_URGENT = 19


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that judges, without a way in from the network."""

    moderator: Moderator
    policies: PolicyStore
    encoder: EncoderInfo
    contents: ContentEncoder
    texts: TextEncoder
    see: See
    """Pictures one by one, for whoever has no event loop."""
    watchdog: Watchdog
    decoder_processes: Callable[[], ProcessUse] = ProcessUse
    """What they take; nothing where decoding has none of its own."""
    shadow: EncoderInfo | None = None
    misfit: str = ""
    """Why another precision would suit the device that runs, if one would."""

    def pool_use(self) -> PoolUse:
        """What is taken of all that is bounded; may be asked from any thread."""
        decoders = self.contents.decoders
        return PoolUse(
            decoders=decoders.size,
            decoders_busy=decoders.busy,
            decode_waiting=decoders.waiting,
            decoder_processes=self.decoder_processes(),
            in_flight_bytes=self.moderator.in_flight_bytes,
            fetches_in_flight=self.moderator.fetches_in_flight,
        )


def utc_now() -> datetime:
    """The wall clock, aware of its time zone."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id for a decision: 32 hexadecimal digits."""
    return uuid4().hex


def unchanged(policies: PolicySource) -> PolicySource:
    """Policies from files that nothing has to be done for."""
    return policies


@asynccontextmanager
async def running_engine(  # noqa: PLR0913 - what a server has beside what a command has, by name
    settings: Settings,
    telemetry: Telemetry,
    *,
    keeper: PolicyKeeper = NO_KEEPER,
    with_shadow: bool = False,
    recent_part: tuple[int, int] | None = None,
    decision_log: DecisionLog = RECORDS_NOTHING,
    tracer: Tracer = NO_TRACER,
    around: Callable[[PolicySource], PolicySource] = unchanged,
    images: ImageFetcher = NO_FETCHING,
) -> AsyncIterator[Engine]:
    """Load the encoder and start the batches; policies are not loaded yet.

    `with_shadow` loads the second encoder too, if one is set. With `recent_part` embeddings are
    kept on disk, if settings ask for it: those of the cache, and recent ones, of which each process
    keeps its part of so many. `around` sees to the policies' files before they are read. Raises
    BundleRejected or NotReady.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        shadowing = with_shadow and bool(settings.shadow_encoder.bundle)
        # Before the encoders, so that both start at the same time.
        decode = stack.enter_context(
            decoding(settings, telemetry, at_once=settings.decode.threads + shadowing)
        )
        decoding_threads = stack.enter_context(
            ThreadPoolExecutor(settings.decode.threads, "decode")
        )
        reloading = stack.enter_context(ThreadPoolExecutor(1, "policies"))
        encoder = await loop.run_in_executor(reloading, load_first_encoder, settings)
        second: OnnxDualEncoder | None = None
        if shadowing:
            second = await loop.run_in_executor(reloading, load_second_encoder, settings)
        inference = stack.enter_context(ThreadPoolExecutor(encoder.batches_in_flight, "inference"))
        batcher = await stack.enter_async_context(_batcher(settings, encoder, inference, telemetry))
        decoder = await loop.run_in_executor(reloading, decode.decoder_for, encoder.info.pixels)
        see = partial(_see, decoder, encoder)
        texts = kept_texts(settings, encoder.info, lambda: encoder, warn=telemetry.texts_not_kept)
        contents = ContentEncoder(
            decoder=decoder,
            batcher=batcher,
            executor=decoding_threads,
            decode_threads=settings.decode.threads,
            cache=_cache(settings, telemetry),
            memory=await embedding_memory(settings, encoder.info, telemetry, stack)
            if recent_part
            else NO_MEMORY,
            encoder_id=encoder.info.encoder_id,
            telemetry=telemetry,
            tracer=tracer,
        )
        rule = BindingRule(settings.policies.encoder_binding)
        guard = BindingGuard(encoder.info, rule, telemetry)
        files = calibrated_policies(
            settings.policies.directory,
            encoder.info,
            OnStale(settings.policies.stale_calibration),
        )
        policies = PolicyStore(
            source=BoundPolicySource(around(files), guard),
            text_encoder=texts,
            text_memory=texts,
            encoder=encoder.info,
            telemetry=telemetry,
            clock=utc_now,
            executor=reloading,
            keeper=BoundPolicyKeeper(keeper, guard),
            max_age_s=settings.policies.max_age_s or None,
            check=activation_check(settings, encoder, see),
        )
        keep: Callable[[str, Embeddings], None] = keep_nothing
        if recent_part and settings.recent.enabled:
            keep = await recent_keeper(settings, encoder.info, stack, recent_part)
        moderator = Moderator(
            policies=policies,
            encoder=contents,
            telemetry=telemetry,
            limits=_limits(settings, encoder.batches_in_flight),
            clock=utc_now,
            new_id=new_id,
            keep=keep,
            memory_share=MemoryGauge(max_bytes=settings.limits.max_memory_bytes).share,
            decision_log=decision_log,
            tracer=tracer,
            images=images,
        )
        if second is not None:
            second_decoder = await loop.run_in_executor(
                reloading, decode.decoder_for, second.info.pixels
            )
            moderator.show_to(await _shadow(stack, settings, second, second_decoder, telemetry))
        shadow = second.info if second else None
        watchdog = Watchdog(encoder, limit_s=settings.encoder.max_run_s, telemetry=telemetry)
        yield Engine(
            moderator,
            policies,
            encoder.info,
            contents,
            texts,
            see,
            watchdog,
            decode.use,
            shadow,
            encoder.misfit,
        )


def _see(decoder: ImageDecoder, encoder: OnnxDualEncoder, image: bytes) -> Embeddings:
    return np.stack(encode_batch(encoder, list(decoder.decode(image))))


async def _shadow(
    stack: AsyncExitStack,
    settings: Settings,
    second: OnnxDualEncoder,
    decoder: ImageDecoder,
    telemetry: Telemetry,
) -> EncoderShadow:
    chosen = settings.shadow_encoder
    executor = stack.enter_context(ThreadPoolExecutor(1, "shadow", initializer=_yield_to_others))
    pairs = PairStore(chosen.directory, max_pairs=chosen.max_pairs)
    try:
        pairs.prepare()
    except OSError as error:
        raise OSError(f"shadow_encoder.directory cannot be used: {error}") from error
    shadow = EncoderShadow(
        SecondEncoder(second.info, second, second, decoder),
        limits=ShadowLimits(chosen.share, chosen.max_waiting),
        sink=pairs,
        telemetry=telemetry,
        clock=utc_now,
        executor=executor,
    )
    return await stack.enter_async_context(shadow)


def _yield_to_others() -> None:
    """Run this thread only when no answer needs the core; elsewhere than on Linux, as others do."""
    if sys.platform == "linux":  # where niceness is a thread's own
        os.nice(LEAST_URGENT)


def _batcher(
    settings: Settings, encoder: OnnxDualEncoder, executor: Executor, telemetry: Telemetry
) -> Batcher[Pixels, Embedding]:
    return Batcher(
        partial(encode_batch, encoder),
        executor=executor,
        telemetry=telemetry,
        max_batch_size=settings.batching.max_batch_size,
        max_queue_size=settings.batching.max_queue_size,
        batches_in_flight=encoder.batches_in_flight,
        bulk_share=settings.batching.bulk_share,
    )


def _cache(settings: Settings, telemetry: Telemetry) -> EmbeddingCache:
    return EmbeddingCache(
        max_bytes=settings.cache.max_bytes,
        refusal_s=settings.cache.refusal_s,
        telemetry=telemetry,
        clock=time.monotonic,
    )


def _limits(settings: Settings, batches_in_flight: int) -> Limits:
    limits, batching = settings.limits, settings.batching
    return Limits(
        max_in_flight=limits.max_in_flight,
        max_in_flight_bytes=limits.max_in_flight_bytes,
        max_request_s=limits.max_request_s,
        max_memory_share=limits.max_memory_share,
        target_wait_s=limits.target_wait_s,
        max_fetches=settings.fetch.max_in_flight,
        # Half a batch runs while the other half gathers: nearly as many images a second as with
        # full ones, in half the time.
        min_in_flight=batching.max_batch_size * batches_in_flight,
    )
