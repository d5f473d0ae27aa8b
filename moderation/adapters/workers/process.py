"""A worker process as its supervisor has it: started, asked, heard, and ended."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from moderation.adapters.workers import wire

METRICS_S = 5.0
"""Longest wait for a worker's metrics; its last ones are shown then."""

Hears = Callable[[Mapping[str, Any]], None]


class WorkerProcess:
    """One process; made by `started`, and over once `ended` has returned."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hears: Hears,
    ) -> None:
        self._process = process
        self._writer = writer
        self._hears = hears
        self._one_at_a_time = asyncio.Lock()
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._reading = asyncio.create_task(self._read(reader))
        self.is_listening = False
        self.is_serving = False

    @classmethod
    async def started(
        cls, command: Sequence[str], order: object, *, env: Mapping[str, str], hears: Hears
    ) -> Self:
        """Start `command` with the number of its socket as last argument; raises OSError.

        `order` is the first thing that it is told there.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    env=dict(env),
                    process_group=0,  # a Ctrl-C is for the supervisor, which passes it on
                )
            except OSError:
                ours.close()
                raise
        ours.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=ours)
        writer.write(wire.pack(order))
        return cls(process, reader, writer, hears)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    async def metrics(self) -> Any:  # noqa: ANN401 - what the worker's registry holds, as JSON
        """What it counts now; raises TimeoutError, or OSError when it has gone."""
        async with self._one_at_a_time:
            while not self._answers.empty():  # one that came too late for whoever asked
                self._answers.get_nowait()
            if self._reading.done():
                raise ConnectionResetError("the worker has gone")
            self._writer.write(wire.pack(wire.METRICS))
            async with asyncio.timeout(METRICS_S):
                await self._writer.drain()
                answer = await self._answers.get()
        if answer is None:
            raise ConnectionResetError("the worker has gone")
        return answer

    def stop(self) -> None:
        """Ask it to end in order; a second time, to hurry."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._signal(signal.SIGKILL)

    async def ended(self) -> int:
        """Wait for its end; its exit code, or the signal that it died of, negative."""
        code = await self._process.wait()
        await asyncio.gather(self._reading, return_exceptions=True)
        self._writer.close()
        return code

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                message = await wire.read(reader)
                if wire.METRICS in message:
                    self._answers.put_nowait(message[wire.METRICS])
                else:
                    self.is_listening |= message[wire.EVENT] == wire.LISTENING
                    self.is_serving = message[wire.EVENT] == wire.SERVING
                    self._hears(message)
        except (EOFError, OSError):
            self._answers.put_nowait(None)


def environment(*, without: str) -> dict[str, str]:
    """What this process has of one, for the same modules, less the names that start `without`."""
    kept = {name: text for name, text in os.environ.items() if not name.upper().startswith(without)}
    return {**kept, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}


def bury_adopted(ours: Sequence[int]) -> None:
    """Collect ended children that are not ours.

    Where this is the first process of a container, what a worker that died had started becomes
    its child, and would stay a zombie.
    """
    while (found := _ended_child()) and found not in ours:
        os.waitpid(found, os.WNOHANG)


def _ended_child() -> int:
    """A child that has ended and was not collected; 0 if there is none."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return 0
    return found.si_pid if found else 0
