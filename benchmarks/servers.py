"""Starts servers as processes of their own, and stops them."""

import json
import os
import subprocess
import sys
import urllib.request
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

STOP_S = 30.0
SCRAPE_S = 30.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that serves: its process, and where requests and scrapes go."""

    pid: int
    address: str
    metrics_url: str

    def metric(self, name: str, labels: str = "") -> float:
        """The sum of the series of this name, of those that have these labels; 0 for none."""
        with urllib.request.urlopen(self.metrics_url, timeout=SCRAPE_S) as answer:
            lines = answer.read().decode().splitlines()
        found = (line for line in lines if line.startswith((f"{name} ", f"{name}{{")))
        return sum(float(line.rpartition(" ")[2]) for line in found if labels in line)


@contextmanager
def our_server(
    policies: Path, *, encoder: str = "starter", env: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The address of the real server once it serves."""
    with running_server(policies, encoder=encoder, env=env) as server:
        yield server.address


@contextmanager
def running_server(
    policies: Path, *, encoder: str = "starter", env: Mapping[str, str] | None = None
) -> Iterator[Running]:
    """The real server once it serves."""
    command = [sys.executable, "-m", "moderation", "serve", "--port", "0", "--metrics-port", "0"]
    command += ["--policies", str(policies), "--encoder", encoder, "--log-format", "json"]
    with running(command, env or {}, subprocess.PIPE, subprocess.DEVNULL) as server:
        listening: dict[str, str] = {}
        assert server.stderr is not None
        for line in server.stderr:
            event = json.loads(line) if line.startswith("{") else {"event": line.strip()}
            if event["event"] == "listening":
                listening = event
            if event["event"] == "serving":
                # A pipe that nobody reads fills up, and then the server waits to write its log.
                Thread(target=deque, args=(server.stderr, 0), daemon=True).start()
                yield Running(server.pid, listening["address"], listening["metrics"])
                return
        raise RuntimeError(f"the server did not start: exit code {server.wait()}")


@contextmanager
def naive_server(policies: Path, *, encoder: str = "starter") -> Iterator[str]:
    """The address of the baseline once it serves."""
    command = [sys.executable, "-m", "benchmarks.naive", "--policies", str(policies)]
    command += ["--encoder", encoder]
    with running(command, {}, None) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        if not address:
            raise RuntimeError(f"the naive server did not start: exit code {server.wait()}")
        yield address


@contextmanager
def running(
    command: list[str],
    env: Mapping[str, str],
    stderr: int | None,
    stdout: int | None = subprocess.PIPE,
) -> Iterator[subprocess.Popen[str]]:
    """A process that is ended with the context, whatever becomes of it."""
    server = subprocess.Popen(
        command,
        env={**os.environ, **env},
        stdout=stdout,
        stderr=stderr,
        text=True,
    )
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(STOP_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
