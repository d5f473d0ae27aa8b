"""A real server in a process of its own, as an operator would start it, for tests to talk to."""

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

START_S = 60.0
STOP_S = 30.0
PATIENCE_S = 40.0
MEASURED = (
    *("test_decision_log", "test_drift", "test_embedding_cache", "test_encoders", "test_identity"),
    *("test_lifecycle", "test_log", "test_policy_memory", "test_recent", "test_serve", "test_tls"),
    *("test_tracing", "test_workers", "test_top", "test_fetch"),
)
"""Files whose servers have their lines counted: together they come by what servers alone can reach.
It slows a server down, which files with much load would pay for nothing."""
COUNTS_LINES = "COVERAGE_PROCESS"
STATE = "MODERATION_POLICIES__STATE_DIRECTORY"
CACHE = "MODERATION_POLICIES__CACHE_DIRECTORY"
DRAIN = "MODERATION_SERVER__DRAIN_S"
GRACE = "MODERATION_SERVER__GRACE_S"
RETURN_WHAT_IS_FREED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
"""For glibc, which otherwise keeps freed memory by the thread, so that leaks drown in the noise."""


@dataclass
class Server:
    """A running server: its process, its addresses, and the log events it wrote."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list)
    _arriving: "queue.Queue[dict[str, Any] | None]" = field(default_factory=queue.Queue)

    @property
    def address(self) -> str:
        """Where requests go, as host:port."""
        return str(self.first("listening")["address"])

    @property
    def metrics_url(self) -> str:
        """Where metrics are."""
        return str(self.first("listening")["metrics"])

    def metrics(self) -> dict[str, float]:
        """Every series as it is now, by its name and labels."""
        with urllib.request.urlopen(self.metrics_url, timeout=PATIENCE_S) as page:
            lines = page.read().decode().splitlines()
        series = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in series}

    def first(self, event: str) -> dict[str, Any]:
        """The first log event of this name that was seen."""
        return next(one for one in self.events if one["event"] == event)

    def wait_for(self, event: str, *, within_s: float = START_S) -> dict[str, Any]:
        """The next log event of this name; raises AssertionError if the server ends first."""
        while True:
            arrived = self._arriving.get(timeout=within_s)
            assert arrived is not None, f"the server ended before {event!r}: {self.events}"
            self.events.append(arrived)
            if arrived["event"] == event:
                return arrived

    def wait_for_seen(self, event: str) -> dict[str, Any]:
        """As `wait_for`, but one that was seen already will do."""
        seen = (one for one in self.events if one["event"] == event)
        return next(seen, None) or self.wait_for(event)

    def whole_log(self) -> list[dict[str, Any]]:
        """Every event, those that nobody waited for included; for a server that has ended."""
        while (arrived := self._arriving.get(timeout=STOP_S)) is not None:
            self.events.append(arrived)
        return self.events

    def terminate(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)

    def read_log(self) -> None:
        """Turn lines into events until the log ends; runs in a thread of its own."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            try:
                self._arriving.put(json.loads(line))
            except json.JSONDecodeError:
                self._arriving.put({"event": "not JSON", "line": line})
        self._arriving.put(None)


@contextmanager
def running_server(
    policies: Path | None,
    *flags: str,
    env: Mapping[str, str] | None = None,
    ready: bool = True,
    state: Path | None = None,
    program: str = "moderation",
    folder: Path | None = None,
) -> Iterator[Server]:
    """Start the server on free ports; when `ready`, wait until it says that it serves.

    It runs in `folder`, or where the tests do, and goes by what `flags` say without `policies`.
    Without a `state` directory it remembers nothing of an earlier run but embeddings of texts.
    Unless `env` says otherwise, it stops without waiting for its clients to leave.
    """
    with TemporaryDirectory() as forgotten:
        memory = {STATE: str(state or forgotten), DRAIN: "0"}
        command = [sys.executable, "-m", program, "serve", "--port", "0", "--metrics-port", "0"]
        command += ["--policies", str(policies)] if policies else []
        command += ["--log-format", "json", *flags]
        environment = {**inherited(), **memory, **(env or {})}
        with _running(command, environment, ready, folder) as server:
            yield server


def inherited() -> dict[str, str]:
    """The environment, by which a process also knows whether to count lines."""
    file, _, _ = os.environ.get("PYTEST_CURRENT_TEST", "").partition("::")
    is_measured = Path(file).stem in MEASURED
    return {
        name: value
        for name, value in os.environ.items()
        if is_measured or not name.startswith(COUNTS_LINES)
    }


@contextmanager
def _running(
    command: Sequence[str], env: Mapping[str, str], ready: bool, folder: Path | None
) -> Iterator[Server]:
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env, cwd=folder)
    server = Server(process)
    reader = threading.Thread(target=server.read_log)
    reader.start()
    try:
        server.wait_for("listening")
        if ready:
            server.wait_for("serving")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join()
        assert process.stderr is not None
        process.stderr.close()


def free_port() -> int:
    """One that nobody listens on, for a server whose port has to be known before it listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does; a failure names nothing but the test itself."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def health_of(address: str) -> int:
    """The status that a health check of the whole server gets."""
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int(stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S).status)
