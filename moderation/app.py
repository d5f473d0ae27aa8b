"""The composition root: builds everything from settings, and owns the order of start and stop.

Start: encoder (verify, load, warm up), gRPC port (NOT_SERVING), policies (embed,
compile), SERVING. Stop is the reverse: NOT_SERVING, grace for running RPCs, drain
the batches, close.
"""

import asyncio
import os
import platform
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

from moderation import __version__
from moderation.adapters.calibration_files import SUFFIX as CALIBRATION_SUFFIX
from moderation.adapters.calibration_files import CalibrationFiles, directory_of
from moderation.adapters.console import LogTelemetry
from moderation.adapters.encoder_pairs import PairStore
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.onnx_session import onnxruntime_version
from moderation.adapters.grpc.convert import BuildInfo
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.reports import Reports
from moderation.adapters.grpc.server import GrpcServer, ServerLimits
from moderation.adapters.grpc.servicer import ModerationServicer, RequestLimits
from moderation.adapters.images import PillowDecoder
from moderation.adapters.policy_state import PIN_SUFFIXES, PolicyState, state_of
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.policy_yaml.expectations import FOLDER as TESTS_FOLDER
from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry
from moderation.core.content import Embedding, Embeddings, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.core.policy import BindingRule
from moderation.core.solving import OnStale
from moderation.loading import decode_limits, load_first_encoder, load_second_encoder
from moderation.rehearsal import activation_check, recent_keeper
from moderation.service.admission import Limits
from moderation.service.batching import Batcher
from moderation.service.binding import BindingGuard, BoundPolicyKeeper, BoundPolicySource
from moderation.service.calibrating import CalibratedPolicies
from moderation.service.embedding_cache import EmbeddingCache
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.keeping import NO_KEEPER
from moderation.service.moderator import Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.policy_tests import See
from moderation.service.ports import PolicyKeeper, Telemetry, TextEncoder
from moderation.service.recent import keep_nothing
from moderation.service.shadowing import EncoderShadow, SecondEncoder, ShadowLimits
from moderation.service.telemetry import FanOutTelemetry
from moderation.settings import Settings

LEAST_URGENT = 19
READINESS_CHECK_S = 1.0


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
    shadow: EncoderInfo | None = None
    misfit: str = ""
    """Why another precision would suit the device that runs, if one would."""


def utc_now() -> datetime:
    """The wall clock, aware of its time zone."""
    return datetime.now(UTC)


def new_id() -> str:
    """A random id for a decision: 32 hexadecimal digits."""
    return uuid4().hex


async def serve_until_stopped(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT; raises BundleRejected, or OSError on a taken port.

    Policy files that cannot be used do not end it: it says NOT_SERVING until they are mended.
    """
    log = LogTelemetry()
    metrics = PrometheusTelemetry()
    stop = _stop_signals()
    state = state_of(settings.policies.state_directory, settings.policies.directory)
    keeper = PolicyState(state)
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            running_engine(
                settings,
                FanOutTelemetry(metrics, log),
                keeper=keeper,
                with_shadow=True,
                keeps_recent=True,
            )
        )
        build = _build_info()
        metrics.describe(build=asdict(build), encoder=engine.encoder, shadow=engine.shadow)
        metrics.watch(
            policy_age_s=engine.policies.age_s,
            policies_stale=engine.policies.is_stale,
            review_budgets=engine.policies.review_budgets,
            ready=engine.policies.is_ready,
        )
        metrics_server = stack.enter_context(
            MetricsServer(metrics.registry, host=settings.metrics.host, port=settings.metrics.port)
        )
        server = await stack.enter_async_context(_server(settings, engine, build, metrics, log))
        watchers = _watchers(settings, engine.encoder, state)
        following = asyncio.create_task(_keep_policies(engine.policies, watchers, server, log))
        stack.push_async_callback(_cancelled, following)
        log.listening(
            address=f"{settings.server.host}:{server.port}",
            metrics=f"http://{settings.metrics.host}:{metrics_server.port}/metrics",
            encoder=engine.encoder,
        )
        _tell_of_encoders(engine, settings, log)
        await _until_stopped(stop, following)
        log.stopping()


@asynccontextmanager
async def running_engine(
    settings: Settings,
    telemetry: Telemetry,
    *,
    keeper: PolicyKeeper = NO_KEEPER,
    with_shadow: bool = False,
    keeps_recent: bool = False,
) -> AsyncIterator[Engine]:
    """Load the encoder and start the batches; policies are not loaded yet.

    `with_shadow` loads the second encoder too, if one is set. Only one process may keep
    recent embeddings, if a setting asks for it. Raises BundleRejected.
    """
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        decoding = stack.enter_context(ThreadPoolExecutor(settings.decode.threads, "decode"))
        reloading = stack.enter_context(ThreadPoolExecutor(1, "policies"))
        encoder = await loop.run_in_executor(decoding, load_first_encoder, settings)
        second: OnnxDualEncoder | None = None
        if with_shadow and settings.shadow_encoder.bundle:
            second = await loop.run_in_executor(decoding, load_second_encoder, settings)
        inference = stack.enter_context(ThreadPoolExecutor(encoder.batches_in_flight, "inference"))
        batcher = await stack.enter_async_context(_batcher(settings, encoder, inference, telemetry))
        decoder = PillowDecoder(encoder.info.pixels, decode_limits(settings))
        see = partial(_see, decoder, encoder)
        contents = ContentEncoder(
            decoder=decoder,
            batcher=batcher,
            executor=decoding,
            decode_threads=settings.decode.threads,
            cache=_cache(settings, telemetry),
            encoder_id=encoder.info.encoder_id,
            telemetry=telemetry,
        )
        rule = BindingRule(settings.policies.encoder_binding)
        guard = BindingGuard(encoder.info, rule, telemetry)
        policies = PolicyStore(
            source=BoundPolicySource(_calibrated_policies(settings, encoder.info), guard),
            text_encoder=encoder,
            encoder=encoder.info,
            telemetry=telemetry,
            clock=utc_now,
            executor=reloading,
            keeper=BoundPolicyKeeper(keeper, guard),
            max_age_s=settings.policies.max_age_s or None,
            check=activation_check(settings, encoder, see),
        )
        keep: Callable[[str, Embeddings], None] = keep_nothing
        if keeps_recent and settings.recent.enabled:
            keep = await recent_keeper(settings, encoder.info, stack)
        moderator = Moderator(
            policies=policies,
            encoder=contents,
            telemetry=telemetry,
            limits=_limits(settings, encoder.batches_in_flight),
            clock=utc_now,
            new_id=new_id,
            keep=keep,
        )
        if second is not None:
            moderator.show_to(await _shadow(stack, settings, second, telemetry))
        shadow = second.info if second else None
        yield Engine(
            moderator, policies, encoder.info, contents, encoder, see, shadow, encoder.misfit
        )


def _calibrated_policies(settings: Settings, encoder: EncoderInfo) -> CalibratedPolicies:
    directory = settings.policies.directory
    return CalibratedPolicies(
        YamlPolicySource(directory),
        CalibrationFiles(directory, encoder.scale),
        encoder.encoder_id,
        OnStale(settings.policies.stale_calibration),
    )


def _see(decoder: PillowDecoder, encoder: OnnxDualEncoder, image: bytes) -> Embeddings:
    return np.stack(encode_batch(encoder, list(decoder.decode(image))))


async def _shadow(
    stack: AsyncExitStack, settings: Settings, second: OnnxDualEncoder, telemetry: Telemetry
) -> EncoderShadow:
    chosen = settings.shadow_encoder
    executor = stack.enter_context(ThreadPoolExecutor(1, "shadow", initializer=_yield_to_others))
    decoder = PillowDecoder(second.info.pixels, decode_limits(settings))
    shadow = EncoderShadow(
        SecondEncoder(second.info, second, second, decoder),
        limits=ShadowLimits(chosen.share, chosen.max_waiting),
        sink=PairStore(chosen.directory, max_pairs=chosen.max_pairs),
        telemetry=telemetry,
        clock=utc_now,
        executor=executor,
    )
    return await stack.enter_async_context(shadow)


def _yield_to_others() -> None:
    """Run this thread only when no answer needs the core; elsewhere than on Linux, as others do."""
    if sys.platform == "linux":  # where niceness is a thread's own
        os.nice(LEAST_URGENT)


def _tell_of_encoders(engine: Engine, settings: Settings, log: LogTelemetry) -> None:
    if engine.misfit:
        log.encoder_misfit(engine.misfit)
    if engine.shadow is not None:
        chosen = settings.shadow_encoder
        log.shadowing(engine.shadow, share=chosen.share, directory=str(chosen.directory))


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
        target_wait_s=limits.target_wait_s,
        # Half a batch runs while the other half gathers: nearly as many images a second as with
        # full ones, in half the time.
        min_in_flight=batching.max_batch_size * batches_in_flight,
    )


def _server(
    settings: Settings,
    engine: Engine,
    build: BuildInfo,
    metrics: PrometheusTelemetry,
    log: LogTelemetry,
) -> GrpcServer:
    def report_bug(error: BaseException) -> str:
        incident_id = new_id()
        log.bug(incident_id, error)
        return incident_id

    server = settings.server
    servicer = ModerationServicer(
        moderator=engine.moderator,
        reports=Reports(engine.policies, engine.encoder, build, utc_now()),
        limits=RequestLimits(server.max_batch_contents, server.items_in_flight),
        report_bug=report_bug,
        new_id=new_id,
    )
    return GrpcServer(
        servicer,
        interceptor=EdgeInterceptor(metrics, report_bug),
        address=f"{server.host}:{server.port}",
        limits=ServerLimits(server.max_message_bytes, server.max_streams_per_connection),
        with_reflection=server.reflection,
        grace_s=server.grace_s,
    )


async def _keep_policies(
    policies: PolicyStore, watchers: Iterable[PolicyWatcher], server: GrpcServer, log: LogTelemetry
) -> None:
    """Load the policies, follow every edit, and tell health checks whether there are any."""
    async with asyncio.TaskGroup() as tasks:
        # The watchers start first: an edit made while the first load runs is not missed.
        for watcher in watchers:
            tasks.create_task(policies.follow(watcher))
        await policies.reload()
        await policies.activated.wait()
        is_announced = False
        while True:
            if policies.is_ready() != is_announced:
                is_announced = not is_announced
                await (server.announce_serving if is_announced else server.announce_not_serving)()
                (log.serving if is_announced else log.too_old)()
            await asyncio.sleep(READINESS_CHECK_S)


def _watchers(settings: Settings, encoder: EncoderInfo, state: Path) -> tuple[PolicyWatcher, ...]:
    directory, recheck_s = settings.policies.directory, settings.policies.recheck_s
    calibrations, tests = directory_of(directory, encoder.encoder_id), directory / TESTS_FOLDER
    return (
        PolicyWatcher(directory, recheck_s=recheck_s),
        PolicyWatcher(calibrations, recheck_s=recheck_s, suffixes=(CALIBRATION_SUFFIX,)),
        PolicyWatcher(state, recheck_s=recheck_s, suffixes=PIN_SUFFIXES),
        *([PolicyWatcher(tests, recheck_s=recheck_s)] if settings.policies.require_tests else []),
    )


def _build_info() -> BuildInfo:
    return BuildInfo(__version__, platform.python_version(), onnxruntime_version())


def _stop_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _until_stopped(stop: asyncio.Event, following: asyncio.Task[None]) -> None:
    """Wait for a signal; a server that no longer sees edits must end, and loudly."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([stopping, following], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if following.done():
        await following


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
