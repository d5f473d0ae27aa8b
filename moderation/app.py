"""The composition root: builds everything from settings, and owns the order of start and stop.

Start: encoder (verify, load, warm up), gRPC port (NOT_SERVING), policies (embed,
compile), SERVING. Stop is the reverse: NOT_SERVING, grace for running RPCs, drain
the batches, close.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.core.content import Embedding, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.service.batching import Batcher
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.moderator import Limits, Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.ports import Telemetry
from moderation.settings import Settings


@dataclass(frozen=True, slots=True)
class Engine:
    """Everything that judges, without a way in from the network."""

    moderator: Moderator
    policies: PolicyStore
    encoder: EncoderInfo


def utc_now() -> datetime:
    """The wall clock, aware of its time zone."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id for a decision: 32 hexadecimal digits."""
    return uuid4().hex


@asynccontextmanager
async def running_engine(settings: Settings, telemetry: Telemetry) -> AsyncIterator[Engine]:
    """Load the encoder and start the batches; policies are not loaded yet.

    Raises BundleRejected.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        in_flight = settings.batching.batches_in_flight
        inference = stack.enter_context(ThreadPoolExecutor(in_flight, "inference"))
        decoding = stack.enter_context(ThreadPoolExecutor(settings.decode.threads, "decode"))
        reloading = stack.enter_context(ThreadPoolExecutor(1, "policies"))
        encoder = await loop.run_in_executor(inference, partial(_load_encoder, settings))
        batcher = await stack.enter_async_context(_batcher(settings, encoder, inference, telemetry))
        policies = PolicyStore(
            source=YamlPolicySource(settings.policies.directory),
            text_encoder=encoder,
            encoder=encoder.info,
            telemetry=telemetry,
            clock=utc_now,
            executor=reloading,
        )
        moderator = Moderator(
            policies=policies,
            encoder=ContentEncoder(
                decoder=PillowDecoder(encoder.info.pixels, _decode_limits(settings)),
                batcher=batcher,
                executor=decoding,
            ),
            telemetry=telemetry,
            limits=Limits(
                max_in_flight=settings.limits.max_in_flight,
                max_in_flight_bytes=settings.limits.max_in_flight_bytes,
                max_request_s=settings.limits.max_request_s,
            ),
            clock=utc_now,
            new_id=new_id,
        )
        yield Engine(moderator, policies, encoder.info)


def _load_encoder(settings: Settings) -> OnnxDualEncoder:
    chosen = settings.encoder
    encoder = load_encoder(chosen.bundle, device=chosen.device, threads=chosen.threads)
    encoder.warm_up(1, settings.batching.max_batch_size)
    return encoder


def _batcher(
    settings: Settings, encoder: OnnxDualEncoder, executor: Executor, telemetry: Telemetry
) -> Batcher[Pixels, Embedding]:
    return Batcher(
        partial(encode_batch, encoder),
        executor=executor,
        telemetry=telemetry,
        max_batch_size=settings.batching.max_batch_size,
        max_queue_size=settings.batching.max_queue_size,
        batches_in_flight=settings.batching.batches_in_flight,
    )


def _decode_limits(settings: Settings) -> DecodeLimits:
    decode = settings.decode
    return DecodeLimits(
        max_image_bytes=decode.max_image_bytes,
        max_pixels=decode.max_pixels,
        max_frames=decode.max_frames,
        max_frames_judged=decode.max_frames_judged,
        max_aspect_ratio=decode.max_aspect_ratio,
    )
