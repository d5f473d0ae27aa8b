"""Decodes in processes of their own, and replaces those that die, hang or take too much memory."""

import json
import os
import queue
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from types import TracebackType
from typing import Self

from moderation.adapters.images import wire
from moderation.adapters.images.limits import DecodeLimits
from moderation.adapters.images.process_use import process_use
from moderation.adapters.images.worker import OUT_OF_MEMORY, WorkerLimits
from moderation.core.content import Pixels, PixelSpec
from moderation.core.errors import FailureCode, NotReady, UnjudgeableContent
from moderation.service.outcomes import DecoderLoss
from moderation.service.pools import ProcessUse
from moderation.service.ports import Telemetry

START_S = 30.0
TRIES = 2
CHECK_EVERY_S = 0.5
BUFFER_BYTES = 2**20
MODULE = "moderation.adapters.images.worker"
KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "SYSTEMROOT")
"""Of the environment: the decoders need nothing else of it, secrets least of all."""

NO_ANSWER = (OSError, EOFError, wire.Garbled)
"""What talking to a process raises that died, hangs or has gone mad."""

LOSS_BY_EXIT = {
    -signal.SIGALRM: DecoderLoss.TIMEOUT,
    -signal.SIGXCPU: DecoderLoss.TIMEOUT,
    OUT_OF_MEMORY: DecoderLoss.MEMORY,
}
FAILURE_BY_LOSS = {
    DecoderLoss.CRASHED: (FailureCode.DECODER_CRASHED, "its decoder died of it"),
    DecoderLoss.TIMEOUT: (FailureCode.DECODER_TIMEOUT, "it was not decoded in time"),
    DecoderLoss.MEMORY: (FailureCode.TOO_LARGE, "there was not enough memory to decode it"),
}


class Worker:
    """One decoding process, from its start on; used by one thread at a time. Raises OSError."""

    def __init__(self, command: list[str], arguments: str) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            for end in (self._socket, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            try:
                self._process = _started([*command, str(theirs.fileno()), arguments], theirs)
            except OSError:
                self._socket.close()
                raise
        self._is_ready = False

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as the kernel has told."""
        return self._process.poll() is None

    def wait_until_ready(self) -> None:
        """Return once it takes tasks; raises EOFError, Garbled or OSError if it never will."""
        if not self._is_ready:
            wire.receive_ready(self._socket, self._before_wait(time.monotonic() + START_S))
            self._is_ready = True

    def decode(self, spec: PixelSpec, image: bytes, max_frames: int, timeout_s: float) -> Pixels:
        """Have it decode; raises UnjudgeableContent, or EOFError, Garbled or OSError."""
        before_wait = self._before_wait(time.monotonic() + timeout_s)
        before_wait()
        self._socket.sendall(wire.task_head(spec, image))
        self._socket.sendall(image)
        return wire.receive_pixels(self._socket, spec.size_px, max_frames, before_wait)

    def end(self) -> int:
        """End it, whatever it does; its exit code, or the signal that it died of, negative."""
        self._socket.close()
        self._process.kill()  # does nothing to one that is known to have ended
        return self._process.wait()

    def _before_wait(self, deadline: float) -> wire.BeforeWait:
        def set_timeout() -> None:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)

        return set_timeout


class DecodeWorkers:
    """So many decoding processes, which a context manager starts and ends.

    A picture of which one dies is refused; another process takes its place at once.
    """

    def __init__(
        self, count: int, limits: WorkerLimits, images: DecodeLimits, telemetry: Telemetry
    ) -> None:
        self._count = count
        self._limits = limits
        self._images = images
        self._telemetry = telemetry
        self._arguments = json.dumps({"process": asdict(limits), "images": asdict(images)})
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        self._all: set[Worker] = set()
        self._children_s = _ended_children_s()
        self._cpu_s = 0.0
        self._closing = threading.Event()
        self._watch = threading.Thread(target=self._replace_the_dead, name="decode-watch")

    def __enter__(self) -> Self:
        """Start the processes, without waiting until they are ready."""
        for _ in range(self._count):
            self._idle.put(self._start())
        self._watch.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End them; nobody may decode any more."""
        self._closing.set()
        self._watch.join()
        for _ in range(self._count):
            self._idle.get().end()
        self._all.clear()

    def decoder(self, spec: PixelSpec) -> "IsolatedDecoder":
        """A decoder for such squares, once there is a process that works; raises NotReady."""
        self._idle.put(self._ready_worker())
        return IsolatedDecoder(self, spec)

    def decode(self, spec: PixelSpec, image: bytes) -> Pixels:
        """Frames uint8[frames, size, size, 3]; raises UnjudgeableContent or NotReady."""
        self._images.check_bytes(len(image))
        for _ in range(TRIES):
            worker = self._ready_worker()
            try:
                return worker.decode(
                    spec, image, self._images.max_frames_judged, self._limits.timeout_s
                )
            except UnjudgeableContent as refusal:
                # A process that leaks would otherwise find every further picture too large.
                if refusal.code is FailureCode.TOO_LARGE:
                    worker = self._replaced(worker, DecoderLoss.MEMORY)
                raise
            except NO_ANSWER as error:
                loss = _loss(error, worker.end())
                worker = self._replaced(worker, loss)
                if loss is not DecoderLoss.IDLE:
                    raise UnjudgeableContent(*FAILURE_BY_LOSS[loss]) from error
            finally:
                self._idle.put(worker)
        raise _not_ready()

    def use(self) -> ProcessUse:
        """What the processes take; may be asked from any thread."""
        # In this order, and never less than before: what ends in between is missed, not doubled.
        ended_s = _ended_children_s() - self._children_s
        living = process_use([worker.pid for worker in self._all.copy()])
        self._cpu_s = max(self._cpu_s, ended_s + living.cpu_s)
        return ProcessUse(self._cpu_s, living.memory_bytes)

    def _start(self) -> Worker:
        worker = Worker([sys.executable, "-P", "-m", MODULE], self._arguments)
        self._all.add(worker)
        return worker

    def _replaced(self, worker: Worker, loss: DecoderLoss) -> Worker:
        worker.end()
        self._all.discard(worker)
        self._telemetry.decoder_lost(loss)
        try:
            return self._start()
        except OSError:  # no descriptor or no process is free: it keeps the place, and is seen dead
            return worker

    def _ready_worker(self) -> Worker:
        """An idle process that takes tasks. One that died idle is no picture's fault."""
        worker = self._idle.get()
        for _ in range(TRIES):
            try:
                if worker.is_alive:
                    worker.wait_until_ready()
                    return worker
            except NO_ANSWER:
                """It did not start, or died on the way."""
            worker = self._replaced(worker, DecoderLoss.IDLE)
        self._idle.put(worker)
        raise _not_ready()

    def _replace_the_dead(self) -> None:
        """Runs in a thread: what dies idle is not to be missed when a picture comes."""
        while not self._closing.wait(CHECK_EVERY_S):
            for worker in reversed(self._all_idle()):
                is_lost = not worker.is_alive
                self._idle.put(self._replaced(worker, DecoderLoss.IDLE) if is_lost else worker)

    def _all_idle(self) -> list[Worker]:
        taken: list[Worker] = []
        with suppress(queue.Empty):
            while True:
                taken.append(self._idle.get_nowait())
        return taken


class IsolatedDecoder:
    """Turns the bytes of an upload into squares of pixels, in another process.

    Safe to call from several threads; each takes a process for as long as it decodes.
    """

    def __init__(self, workers: DecodeWorkers, spec: PixelSpec) -> None:
        self._workers = workers
        self._spec = spec

    def decode(self, image: bytes) -> Pixels:
        """RGB frames, uint8[frames, size, size, 3]; raises UnjudgeableContent or NotReady."""
        return self._workers.decode(self._spec, image)


def _ended_children_s() -> float:
    """CPU seconds of all children of this process that have ended, of which it has few others."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _loss(error: Exception, exit_code: int) -> DecoderLoss:
    if isinstance(error, TimeoutError):
        return DecoderLoss.TIMEOUT
    # The kernel resets a connection at whose other end something was left unread: the process
    # has not seen the whole picture, and cannot have died of it.
    otherwise = DecoderLoss.IDLE if isinstance(error, ConnectionError) else DecoderLoss.CRASHED
    return LOSS_BY_EXIT.get(exit_code, otherwise)


def _not_ready() -> NotReady:
    return NotReady(
        "the processes that decode pictures do not start; "
        "see what they wrote to standard error, or set decode.isolation to thread"
    )


def _started(command: list[str], theirs: socket.socket) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
        env=_environment(),
        cwd="/",
        process_group=0,  # a Ctrl-C is for the service alone
    )


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    # One thread decodes; more would take address space, and a core from others.
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    return {**kept, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"}
