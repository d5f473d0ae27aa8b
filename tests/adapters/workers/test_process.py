"""A supervisor and a worker process, over the real line between them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from moderation.adapters.workers import process, wire
from moderation.adapters.workers.process import WorkerProcess, bury_adopted, environment
from tests.adapters.workers.a_worker import COUNTS, GONE, MANY

COMMAND = [sys.executable, "-m", "tests.adapters.workers.a_worker"]
PATIENCE_S = 30.0


@asynccontextmanager
async def worker(
    *behaviour: str, heard: list[Mapping[str, Any]] | None = None
) -> AsyncIterator[WorkerProcess]:
    kept = [] if heard is None else heard
    started = await WorkerProcess.started(
        [*COMMAND, *behaviour], {}, env=environment(without="MODERATION_"), hears=kept.append
    )
    try:
        yield started
    finally:
        started.kill()
        await started.ended()


async def until_listening(one: WorkerProcess) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not one.is_listening:  # noqa: ASYNC110 - it has no event, for nobody else waits
            await asyncio.sleep(0.01)


async def test_a_worker_tells_what_happens_and_what_it_counts() -> None:
    heard: list[Mapping[str, Any]] = []
    async with worker("serve", heard=heard) as one:
        await until_listening(one)
        first, second = await asyncio.gather(one.metrics(), one.metrics())

    assert first == second == COUNTS
    assert [event["event"] for event in heard] == [wire.LISTENING, wire.SERVING]
    assert heard[0]["encoder"] == "starter"


@pytest.mark.parametrize(("behaviour", "is_serving"), [("serve", True), ("waver", False)])
async def test_whether_it_answers_requests_is_what_it_said_last(
    behaviour: str, is_serving: bool
) -> None:
    async with worker(behaviour) as one:
        await until_listening(one)
        await one.metrics()  # answered after all that it told at its start

        assert one.is_serving is is_serving


async def test_a_large_answer_arrives_whole() -> None:
    async with worker("many") as one:
        await until_listening(one)

        assert await one.metrics() == MANY


async def test_how_it_ended_is_known() -> None:
    async with worker("exit", "78") as refused:
        assert await refused.ended() == 78
    async with worker("serve") as killed:
        os.kill(killed.pid, signal.SIGKILL)
        assert await killed.ended() == -signal.SIGKILL
        with pytest.raises(ConnectionResetError):
            await killed.metrics()


async def test_one_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "METRICS_S", 0.2)
    async with worker("hang") as one:
        await until_listening(one)

        with pytest.raises(TimeoutError):
            await one.metrics()


async def test_one_that_ends_while_it_is_asked_is_not_waited_for() -> None:
    async with worker("hang") as one:
        await until_listening(one)
        asking = asyncio.create_task(one.metrics())
        await asyncio.sleep(0.1)
        one.kill()

        with pytest.raises(ConnectionResetError):
            await asking


def test_a_worker_notices_that_its_supervisor_has_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        orphan = subprocess.Popen(
            [*COMMAND, "serve", str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        ours.sendall(wire.pack({}))
        ours.recv(1)

    assert orphan.wait(PATIENCE_S) == GONE


async def test_a_command_that_is_missing_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        await WorkerProcess.started(["/no/such/command"], {}, env={}, hears=print)


def test_a_worker_s_environment_has_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERATION_SERVER__PORT", "1")
    monkeypatch.setenv("moderation_log__level", "debug")
    monkeypatch.setenv("LANG", "C")

    kept = environment(without="MODERATION_")

    assert not [name for name in kept if name.upper().startswith("MODERATION_")]
    assert kept["LANG"] == "C"
    assert kept["PYTHONPATH"].split(os.pathsep) == [entry or os.getcwd() for entry in sys.path]


def test_a_connection_that_ends_within_a_message_is_no_message() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(wire.pack({"settings": {}})[:-1])
        with pytest.raises(EOFError):
            wire.receive(ours)


def test_children_of_others_are_buried_and_ours_are_left() -> None:
    adopted = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, adopted.pid, os.WEXITED | os.WNOWAIT)

    bury_adopted([])
    with pytest.raises(ChildProcessError):
        os.waitpid(adopted.pid, 0)
    adopted.returncode = 0

    mine = subprocess.Popen([sys.executable, "-c", "raise SystemExit(5)"])
    os.waitid(os.P_PID, mine.pid, os.WEXITED | os.WNOWAIT)
    bury_adopted([mine.pid])

    assert mine.wait() == 5
