"""The composition root of the server: owns the order of start and stop.

Start: encoder (verify, load, warm up), gRPC port (NOT_SERVING), policies (embed,
compile), SERVING. Stop is the reverse: NOT_SERVING, grace for running RPCs, drain
the batches, close.
"""

import asyncio
import os
import platform
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from moderation import __version__
from moderation.adapters.connections import connections_at
from moderation.adapters.console import LogTelemetry
from moderation.adapters.encoders.onnx_session import onnxruntime_version
from moderation.adapters.grpc.access import AccessInterceptor
from moderation.adapters.grpc.convert import BuildInfo
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.reports import Reports
from moderation.adapters.grpc.server import (
    METHODS,
    Endpoint,
    GrpcServer,
    ServerLimits,
    StopTimes,
)
from moderation.adapters.grpc.servicer import ModerationServicer, RequestLimits
from moderation.adapters.grpc.shedding import SheddingInterceptor
from moderation.adapters.nvidia import Gpus
from moderation.adapters.policy_state import PolicyState
from moderation.adapters.prometheus import MetricsServer, PrometheusTelemetry
from moderation.engine import Engine, new_id, running_engine, unchanged, utc_now
from moderation.fetching import image_fetcher
from moderation.identity import Identity, identity_from
from moderation.packages import (
    named_policies,
    policy_package,
    state_directory,
    unpacked_settings,
)
from moderation.recording import decision_recorder, status_of
from moderation.service.decision_log import RECORDS_NOTHING, DecisionRecorder
from moderation.service.ports import ChangeFeed, Telemetry
from moderation.service.telemetry import FanOutTelemetry
from moderation.service.tracing import Tracer
from moderation.service.watchdog import Pulse
from moderation.settings import Settings
from moderation.stopping import EXIT_LOST, Stops, end_overdue, stop_signals
from moderation.tracing import tracing
from moderation.transport import certificate_store, endpoint_of, tell_when_full
from moderation.watching import drift_watch, follow_references, policy_feeds
from moderation.working import Worker, WorkerLog

READINESS_CHECK_S = 1.0


async def serve_until_stopped(settings: Settings, worker: Worker | None = None) -> None:
    """Run the service until SIGTERM or SIGINT; raises BundleRejected, or OSError on a taken port.

    Policy files that cannot be used do not end it: it says NOT_SERVING until they are mended.
    A `worker` is one of several processes, and stops when its supervisor has gone, too.
    """
    log = LogTelemetry() if worker is None else WorkerLog()
    metrics = PrometheusTelemetry()
    stops = stop_signals()
    state = state_directory(settings)
    kept = PolicyState(state)
    telemetry = FanOutTelemetry(metrics, log)
    async with AsyncExitStack() as stack:
        tracer = stack.enter_context(tracing(settings, telemetry))
        # Before the encoder is loaded: what is wrong with these settings is told at once.
        package = policy_package(settings, stack, taken=log.package_taken)
        named, settings = named_policies(settings), unpacked_settings(settings, package)
        images = await image_fetcher(settings, telemetry, stack)
        identity = await identity_from(settings, metrics.access, utc_now)
        certificates = certificate_store(settings, (metrics.certificates, log), now=utc_now)
        recorder = await _recorder(settings, telemetry, log, stack)
        engine = await stack.enter_async_context(
            running_engine(
                settings,
                telemetry,
                keeper=kept if worker is None else worker.keeper(kept),
                with_shadow=True,
                recent_part=(0, 1) if worker is None else worker.place,
                decision_log=recorder or RECORDS_NOTHING,
                tracer=tracer,
                around=package.around if package else unchanged,
                images=images,
            )
        )
        # Whatever the engine waits for at its end, nobody else waits for any more.
        stack.callback(end_overdue(log.stop_overdue).start)
        build = _build_info()
        metrics.describe(
            build=asdict(build),
            encoder=engine.encoder,
            demanded_device=settings.encoder.device.partition(":")[0],
            shadow=engine.shadow,
        )
        _watch(metrics, engine, recorder, identity, stops)
        if identity is not None:
            engine.moderator.share_among(identity.tenants)
        drift = drift_watch(settings, engine.encoder, lambda: engine.policies.status.active)
        metrics.watch_drift(drift)
        reports = Reports(
            engine.policies,
            engine.encoder,
            build,
            utc_now(),
            status_of(recorder),
            package=settings.package.shown_source,
        )
        metrics_url = ""
        if isinstance(log, WorkerLog) and worker is not None:
            await worker.join(stack, registry=metrics.registry, log=log, on_gone=stops.signalled)
            reports = replace(reports, history=kept.history, worker=worker.place)
        else:
            metrics_url = stack.enter_context(_metrics_server(settings, metrics, engine, stops)).url
        edge = _Edge(telemetry, log, tracer, identity)
        server = _server(settings, endpoint_of(settings, certificates), engine, reports, edge)
        feeds = policy_feeds(settings, engine.encoder, state, package.feed if package else None)
        others = [one.follow for one in (identity, certificates) if one is not None]
        others += [
            partial(follow_references, drift, settings, engine.encoder),
            _watch_connections(server, settings.server.max_connections, metrics, log),
        ]
        start = _Start()
        following = asyncio.create_task(_follow(engine, feeds, others, server, log, start))
        stack.push_async_callback(_cancelled, following)
        # Who answers gets a part of the requests, ready or not: without policies in vain.
        await _until_one(start.has_tried, stops.asked, following=following)
        if stops.asked.is_set():
            log.stopping()
            return
        await stack.enter_async_context(server)
        log.listening(
            address=f"{settings.server.host}:{server.port}",
            tls=settings.tls.is_on,
            metrics=metrics_url,
            policies=named,
            encoder=engine.encoder,
        )
        _tell_what_runs_beside(engine, settings, log)
        start.has_told.set()
        await _until_one(stops.asked, following=following)
        log.stopping()
        times = StopTimes(settings.server.drain_s, settings.server.grace_s)
        await server.drain(times, stops.hurried)


async def _recorder(
    settings: Settings, telemetry: Telemetry, log: LogTelemetry, stack: AsyncExitStack
) -> DecisionRecorder | None:
    if not settings.decision_log.directory:
        return None
    recorder, store = await decision_recorder(settings, telemetry, utc_now, stack)
    log.recording(
        directory=str(store.writer.absolute()),
        torn_bytes=store.torn_bytes,
        mandatory=settings.decision_log.mandatory,
    )
    return recorder


def _watch(
    metrics: PrometheusTelemetry,
    engine: Engine,
    recorder: DecisionRecorder | None,
    identity: Identity | None,
    stops: Stops,
) -> None:
    """Tell metrics of the methods that there are, and whom to ask at every scrape."""
    metrics.show_methods(METHODS)
    metrics.watch(
        policy_age_s=engine.policies.age_s,
        policies_stale=engine.policies.is_stale,
        review_budgets=engine.policies.review_budgets,
        ready=partial(_is_ready, engine, stops),
        in_flight=lambda: engine.moderator.in_flight,
        active=lambda: engine.policies.status.active,
    )
    metrics.gpus.use = Gpus().use
    metrics.pools.use = engine.pool_use
    if recorder is not None:
        metrics.watch_records(lambda: recorder.waiting)
    if identity is not None:
        metrics.tenants.usage = identity.tenants.usage


def _watch_connections(
    server: GrpcServer, most: int, metrics: PrometheusTelemetry, log: LogTelemetry
) -> Callable[[], Coroutine[Any, Any, None]]:
    """Have metrics ask how many there are; what tells that there can be no more."""
    metrics.watch_connections(lambda: connections_at(server.port))
    return partial(tell_when_full, lambda: server.port, most, log.connections_full)


def _metrics_server(
    settings: Settings, metrics: PrometheusTelemetry, engine: Engine, stops: Stops
) -> MetricsServer:
    where, is_ready = settings.metrics, partial(_is_ready, engine, stops)
    return MetricsServer(metrics.registry, host=where.host, port=where.port, is_ready=is_ready)


def _tell_what_runs_beside(engine: Engine, settings: Settings, log: LogTelemetry) -> None:
    traces = settings.tracing
    if traces.endpoint:
        log.tracing(endpoint=traces.endpoint, sample_ratio=traces.sample_ratio)
    if engine.misfit:
        log.encoder_misfit(engine.misfit)
    if engine.shadow is not None:
        chosen = settings.shadow_encoder
        log.shadowing(engine.shadow, share=chosen.share, directory=str(chosen.directory))


def _server(
    settings: Settings,
    endpoint: Endpoint,
    engine: Engine,
    reports: Reports,
    edge: "_Edge",
) -> GrpcServer:
    server = settings.server
    servicer = ModerationServicer(
        moderator=engine.moderator,
        reports=reports,
        limits=RequestLimits(
            server.max_batch_contents, server.items_in_flight, server.stream_idle_s
        ),
        report_bug=edge.report_bug,
        new_id=new_id,
        tracer=edge.tracer,
    )
    built = GrpcServer(
        servicer,
        interceptors=(*edge.interceptors, SheddingInterceptor(engine.moderator)),
        endpoint=endpoint,
        limits=ServerLimits(
            server.max_message_bytes,
            server.max_streams_per_connection,
            server.max_batch_contents,
            server.max_arrival_s,
            server.max_connections,
            server.max_connection_age_s,
            server.max_connection_idle_s,
            shares_port=server.workers > 1,
        ),
        is_ready=engine.policies.is_ready,
    )
    if server.workers == 1:  # of several on one port, one that has taken it is dealt connections
        built.bind()
    return built


@dataclass(frozen=True, slots=True)
class _Edge:
    """What every call meets before and after its method."""

    telemetry: Telemetry
    log: LogTelemetry
    tracer: Tracer
    identity: Identity | None

    def report_bug(self, error: BaseException) -> str:
        incident_id = new_id()
        self.log.bug(incident_id, error)
        return incident_id

    @property
    def interceptors(self) -> tuple[EdgeInterceptor | AccessInterceptor, ...]:
        outer = EdgeInterceptor(self.telemetry, self.report_bug, self.tracer)
        return (outer, AccessInterceptor(self.identity.access)) if self.identity else (outer,)


class _Start:
    """How far it has come."""

    def __init__(self) -> None:
        self.has_tried = asyncio.Event()
        """To load the policies, well or not."""
        self.has_told = asyncio.Event()
        """Where the server answers."""


async def _follow(
    engine: Engine,
    feeds: Iterable[ChangeFeed],
    others: Iterable[Callable[[], Coroutine[Any, Any, None]]],
    server: GrpcServer,
    log: LogTelemetry,
    start: "_Start",
) -> None:
    """Load the policies, follow every edit, and tell health checks whether all is well."""
    policies = engine.policies
    async with asyncio.TaskGroup() as tasks:
        for follow in others:
            tasks.create_task(follow())
        # They start first: an edit made while the first load runs is not missed.
        for feed in feeds:
            tasks.create_task(policies.follow(feed))
        await policies.reload()
        start.has_tried.set()
        await policies.activated.wait()
        await start.has_told.wait()
        await _tell_health(engine, server, log)


def _is_ready(engine: Engine, stops: Stops) -> bool:
    return _is_well(engine) and not stops.asked.is_set()


def _is_well(engine: Engine) -> bool:
    return engine.policies.is_ready() and not engine.watchdog.is_stuck


async def _tell_health(engine: Engine, server: GrpcServer, log: LogTelemetry) -> None:
    is_announced = False
    while True:
        if engine.watchdog.look() is Pulse.LOST:
            log.encoder_lost()
            os._exit(EXIT_LOST)  # an orderly stop would wait for the thread that never ends
        is_ready = engine.policies.is_ready()
        if is_announced and not is_ready:
            log.too_old()
        is_well = _is_well(engine)
        if is_well != is_announced:
            (log.serving if is_well else log.not_serving)()
            (server.announce_serving if is_well else server.announce_not_serving)()
        is_announced = is_well
        await asyncio.sleep(READINESS_CHECK_S)


def _build_info() -> BuildInfo:
    return BuildInfo(__version__, platform.python_version(), onnxruntime_version())


async def _until_one(*events: asyncio.Event, following: asyncio.Task[None]) -> None:
    """Wait for one of these; a server that no longer sees edits must end, and loudly."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait([*waiting, following], return_when=asyncio.FIRST_COMPLETED)
    for one in waiting:
        one.cancel()
    if following.done():
        await following


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
