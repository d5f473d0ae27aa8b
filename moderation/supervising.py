"""The supervisor of several workers: it starts, counts and replaces them, and judges nothing.

It holds the port for them, shows their metrics as one, and passes a stop on. The first worker
starts alone: what is wrong with the settings is told once, and what it computes of the
policies' texts the others find on the disk.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from prometheus_client import CollectorRegistry

from moderation.adapters.prometheus import MetricsServer
from moderation.adapters.prometheus.sums import SummedMetrics
from moderation.adapters.prometheus.supervisor import SupervisorMetrics
from moderation.adapters.workers import wire
from moderation.adapters.workers.console import SupervisorLog
from moderation.adapters.workers.process import (
    METRICS_S,
    WorkerProcess,
    bury_adopted,
    environment,
)
from moderation.adapters.workers.reservation import reserved
from moderation.packages import named_policies
from moderation.service.supervision import Restarts, WorkersLost, death
from moderation.settings import Settings, share_of
from moderation.settings.sections import PREFIX
from moderation.stopping import EXIT_LOST, Stops, stop_signals
from moderation.working import LEADER, orders_for

COMMAND = (sys.executable, "-m", "moderation", "serve-as-worker")
COUNT_EVERY_S = 2.0
"""So much of a worker's counts is lost in the ordinary case, if it is killed."""
LEAST_REST = 50.0
"""In times what counting took: with thousands of policies it is done less often."""
LONGEST_REST_S = 10.0
MAX_SILENCES = 4
"""Of METRICS_S each, and COUNT_EVERY_S apart: an event loop that hangs for half a minute is not
waited for."""
SPARE_S = 5.0
"""Beyond what a worker may take to stop; it is killed then."""


async def supervise(settings: Settings, command: Sequence[str] = COMMAND) -> None:
    """Run the service until SIGTERM or SIGINT; raises WorkersLost, or OSError on a taken port.

    `command` starts a worker, which gets the number of a socket as its last argument.
    """
    stops = stop_signals()
    log = SupervisorLog()
    with ExitStack() as stack:
        server, shown = settings.server, settings.metrics
        port = stack.enter_context(reserved(server.host, server.port))
        supervisor = _Supervisor(settings, port, command, log)
        metrics = stack.enter_context(
            MetricsServer(
                supervisor.registry,
                host=shown.host,
                port=shown.port,
                is_ready=lambda: supervisor.is_ready() and not stops.asked.is_set(),
            )
        )
        supervisor.addresses = {
            "address": f"{server.host}:{port}",
            "metrics": metrics.url,
            "policies": named_policies(settings),
        }
        try:
            await supervisor.run_until(stops.asked)
            log.stopping()
        finally:
            await supervisor.end(stops)


class _Supervisor:
    """Keeps a process running at every worker's place."""

    def __init__(
        self, settings: Settings, port: int, command: Sequence[str], log: SupervisorLog
    ) -> None:
        self._command = command
        count, cores = settings.server.workers, len(os.sched_getaffinity(0))
        self._orders = [
            orders_for(worker, share_of(settings, worker, port=port, cores=cores))
            for worker in range(count)
        ]
        self._stop_s = settings.server.drain_s + settings.server.grace_s + SPARE_S
        self._log = log
        self._running: dict[int, WorkerProcess] = {}
        self._silences: dict[int, int] = {}
        """How often in a row each that does not answer has not."""
        self._starting = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._leader_listens = asyncio.Event()
        self._have_listened: set[int] = set()
        self._have_served: set[int] = set()
        self._loop = asyncio.get_running_loop()
        self._metrics = SupervisorMetrics(count, lambda: len(self._listening()))
        self._sums = SummedMetrics(self._metrics.registry, self._refresh)
        self.registry = CollectorRegistry()
        self.registry.register(self._sums)
        self.addresses: Mapping[str, str] = {}
        """Where requests and scrapes go, to be told when somebody answers there."""

    def is_ready(self) -> bool:
        """Whether every worker that listens answers requests; may be asked from any thread."""
        listening = self._listening().values()
        return bool(listening) and all(process.is_serving for process in listening)

    async def run_until(self, stop: asyncio.Event) -> None:
        """Start every worker, and replace those that die; raises WorkersLost."""
        places = range(len(self._orders))
        self._tasks = [asyncio.create_task(self._keep(worker)) for worker in places]
        self._tasks.append(asyncio.create_task(self._count()))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([stopping, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in self._tasks:
            if task.done():
                await task

    async def end(self, stops: Stops) -> None:
        """Have all workers stop in order, in so much time as they may take."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        workers = [*self._running.values()]
        hurried = asyncio.create_task(stops.hurried.wait())
        ended = asyncio.create_task(_all_ended(workers))
        for worker in workers:
            worker.stop()
        await asyncio.wait(
            [ended, hurried], timeout=self._stop_s, return_when=asyncio.FIRST_COMPLETED
        )
        if hurried.done():
            for worker in workers:
                worker.stop()
            await asyncio.wait([ended], timeout=SPARE_S)
        hurried.cancel()
        for worker in workers:
            worker.kill()
        await ended

    async def _keep(self, worker: int) -> None:
        restarts = Restarts()
        if worker != LEADER:
            await self._leader_listens.wait()
        while True:
            began = self._loop.time()
            process = await self._started(worker)
            code = await process.ended()
            self._forget(worker)
            self._require_sense(worker, code)
            pause_s = restarts.died(self._loop.time() - began)
            if restarts.is_hopeless and not self._listening():
                message = f"workers die soon after they start, of {death(code)} at last"
                raise WorkersLost(message, EXIT_LOST)
            self._log.lost(worker, death(code), pause_s)
            await asyncio.sleep(pause_s)

    async def _started(self, worker: int) -> WorkerProcess:
        self._starting += 1
        try:
            process = await WorkerProcess.started(
                self._command,
                self._orders[worker],
                env=environment(without=PREFIX),
                hears=partial(self._heard, worker),
            )
            self._running[worker] = process
        finally:
            self._starting -= 1
        self._log.started(worker, process.pid)
        return process

    def _forget(self, worker: int) -> None:
        del self._running[worker]
        self._silences.pop(worker, None)
        self._sums.ended(worker)
        self._metrics.lost.inc()

    def _require_sense(self, worker: int, code: int) -> None:
        """What a worker refuses before it has ever listened is no accident; it has said why."""
        if code > 0 and worker not in self._have_listened:
            raise WorkersLost(f"worker {worker} does not start, for the reason above", code)

    def _heard(self, worker: int, message: Mapping[str, Any]) -> None:
        if message[wire.EVENT] == wire.LISTENING:
            self._have_listened.add(worker)
            if not self._leader_listens.is_set():
                self._log.listening(**self.addresses, told=message)
                self._leader_listens.set()
        elif message[wire.EVENT] == wire.SERVING:
            self._serves(worker)

    def _serves(self, worker: int) -> None:
        self._log.worker_serving(worker)
        is_new = worker not in self._have_served
        self._have_served.add(worker)
        if is_new and len(self._have_served) == len(self._orders):
            self._log.serving(len(self._orders))

    def _listening(self) -> dict[int, WorkerProcess]:
        return {
            worker: process
            for worker, process in self._running.copy().items()  # scrapes come from another thread
            if process.is_listening
        }

    async def _count(self) -> None:
        """Learn what the workers count, and see that they answer, every few seconds."""
        while True:
            began = time.perf_counter()
            await self._ask_all()
            took_s = time.perf_counter() - began
            if not self._starting:  # what is being started is ours, and not known by its id yet
                bury_adopted([process.pid for process in self._running.values()])
            # Who is silent is asked again soon: to wait for it is not what takes long to count.
            rest_s = 0.0 if self._silences else min(LONGEST_REST_S, LEAST_REST * took_s)
            await asyncio.sleep(max(COUNT_EVERY_S, rest_s))

    async def _ask_all(self) -> None:
        asked = (self._ask(worker, process) for worker, process in self._listening().items())
        await asyncio.gather(*asked)

    async def _ask(self, worker: int, process: WorkerProcess) -> None:
        """Learn what one counts, for a scrape or not; end it if it is silent too often in a row."""
        try:
            snapshot = await process.metrics()
        except TimeoutError:
            self._silent(worker, process)
        except OSError:
            pass  # it has ended, which is seen elsewhere
        else:
            if self._running.get(worker) is process:
                self._silences.pop(worker, None)
                self._sums.report(worker, snapshot)

    def _silent(self, worker: int, process: WorkerProcess) -> None:
        if self._running.get(worker) is not process:
            return
        self._silences[worker] = self._silences.get(worker, 0) + 1
        if self._silences[worker] == MAX_SILENCES:
            self._log.silent(process.pid)
            process.kill()

    def _refresh(self) -> None:
        """Called for a scrape, from another thread; what cannot be learnt now was learnt before."""
        asking = asyncio.run_coroutine_threadsafe(self._ask_all(), self._loop)
        with suppress(TimeoutError):
            asking.result(METRICS_S + COUNT_EVERY_S)


async def _all_ended(workers: Iterable[WorkerProcess]) -> None:
    for worker in workers:
        await worker.ended()
