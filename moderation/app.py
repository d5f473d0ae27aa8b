"""The composition root: builds everything from settings, and owns the order of start and stop.

Start: encoder (verify, load, warm up), gRPC port (NOT_SERVING), policies (embed,
compile), SERVING. Stop is the reverse: NOT_SERVING, grace for running RPCs, drain
the batches, close.
"""

import asyncio
import platform
import signal
from collections.abc import AsyncIterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from moderation import __version__
from moderation.adapters.console import LogTelemetry
from moderation.adapters.encoders.dual_encoder import OnnxDualEncoder
from moderation.adapters.encoders.onnx_session import onnxruntime_version
from moderation.adapters.encoders.registry import load_encoder
from moderation.adapters.grpc.convert import BuildInfo
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.reports import Reports
from moderation.adapters.grpc.server import GrpcServer, ServerLimits
from moderation.adapters.grpc.servicer import ModerationServicer, RequestLimits
from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.policy_watcher import PolicyWatcher
from moderation.adapters.policy_yaml import YamlPolicySource
from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry
from moderation.core.content import Embedding, Pixels
from moderation.core.encoder import EncoderInfo
from moderation.service.batching import Batcher
from moderation.service.encoding import ContentEncoder, encode_batch
from moderation.service.moderator import Limits, Moderator
from moderation.service.policy_store import PolicyStore
from moderation.service.ports import Telemetry
from moderation.service.telemetry import FanOutTelemetry
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


async def serve_until_stopped(settings: Settings) -> None:
    """Run the service until SIGTERM or SIGINT; raises BundleRejected, or OSError on a taken port.

    Policy files that cannot be used do not end it: it says NOT_SERVING until they are mended.
    """
    log = LogTelemetry()
    metrics = PrometheusTelemetry()
    stop = _stop_signals()
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            running_engine(settings, FanOutTelemetry(metrics, log))
        )
        build = _build_info()
        metrics.describe(build=asdict(build), encoder=engine.encoder)
        metrics.watch(
            policy_age_s=engine.policies.age_s,
            ready=engine.policies.activated.is_set,
            in_flight=lambda: engine.moderator.in_flight,
            active=lambda: engine.policies.status.active,
        )
        metrics_server = stack.enter_context(
            MetricsServer(metrics.registry, host=settings.metrics.host, port=settings.metrics.port)
        )
        server = await stack.enter_async_context(_server(settings, engine, build, metrics, log))
        watcher = PolicyWatcher(settings.policies.directory, recheck_s=settings.policies.recheck_s)
        following = asyncio.create_task(_keep_policies(engine.policies, watcher, server, log))
        stack.push_async_callback(_cancelled, following)
        log.listening(
            address=f"{settings.server.host}:{server.port}",
            metrics=f"http://{settings.metrics.host}:{metrics_server.port}/metrics",
            encoder=engine.encoder,
        )
        await _until_stopped(stop, following)
        log.stopping()


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
    encoder = load_encoder(
        chosen.bundle,
        device=chosen.device,
        threads=chosen.threads,
        allow_unverified=chosen.allow_unverified,
    )
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
        min_side_px=decode.min_side_px,
        max_scans=decode.max_scans,
        max_animation_pixels=decode.max_animation_pixels,
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
    policies: PolicyStore, watcher: PolicyWatcher, server: GrpcServer, log: LogTelemetry
) -> None:
    """Load the policies, say SERVING once there are any, and follow every edit."""
    async with asyncio.TaskGroup() as tasks:
        # The watcher starts first: an edit made while the first load runs is not missed.
        tasks.create_task(policies.follow(watcher))
        await policies.reload()
        await policies.activated.wait()
        await server.announce_serving()
        log.serving()


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
