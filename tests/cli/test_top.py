"""`moderation top` on a real server, in a pipe and in a terminal."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from moderation.client import ModerationClient
from tests.cli.command import PYTHONPATH, moderation
from tests.cli.pages import answering
from tests.e2e.server import Server, running_server

ROOT = Path(__file__).parents[2]
SNAKE = (ROOT / "samples" / "green-snake.jpg").read_bytes()
PATIENCE_S = 30.0
ALTERNATE_SCREEN, USUAL_SCREEN = b"\x1b[?1049h", b"\x1b[?1049l"
SIZE = struct.pack("HHHH", 50, 160, 0, 0)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(ROOT / "policies") as server:
        yield server


@contextmanager
def uploads(address: str) -> Iterator[None]:
    """The same picture again and again."""
    stop = threading.Event()

    def upload() -> None:
        with ModerationClient(address) as client:
            while not stop.wait(0.02):
                client.moderate(SNAKE)

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Terminal:
    """The command in a terminal, and what it has written there."""

    def __init__(self, *arguments: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
        self._file = ours
        self.written = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "moderation", "top", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PYTHONPATH": PYTHONPATH, "TERM": "xterm"},
        )
        os.close(theirs)
        os.set_blocking(ours, False)

    def wait_for(self, pattern: bytes) -> None:
        """Read on until it shows this."""
        deadline = time.monotonic() + PATIENCE_S
        while not re.search(pattern, self.written):
            assert time.monotonic() < deadline, self.written[-2000:]
            self.read()
            time.sleep(0.02)

    def read(self) -> None:
        """Whatever is there by now; a terminal gives it in pieces."""
        with suppress(OSError):
            while piece := os.read(self._file, 1 << 16):
                self.written += piece

    def end(self, number: int) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.read()
        os.close(self._file)
        return code


def row(out: str, name: str) -> str:
    found = re.search(rf"^ ?{name} +(.*)$", out, re.MULTILINE)
    assert found, out
    return found[1].rstrip()


async def test_one_frame_shows_what_a_server_does(server: Server) -> None:
    with uploads(server.address):
        await asyncio.sleep(0.5)
        ended = await moderation(
            *("top", "--once", "--url", server.metrics_url, "--interval", "1", "--policies", "2"),
            env={"http_proxy": "http://127.0.0.1:9"},
        )

    out = ended.out
    version = server.wait_for_seen("policies_loaded")["version"]
    assert (ended.exit_code, ended.err) == (0, "")
    assert "ready  starter on CPUExecutionProvider" in out.splitlines()[0]
    assert re.fullmatch(r"\d+\.\d/s, Moderate p50 \d+ ms, p99 \d+ ms", row(out, "calls"))
    assert float(row(out, "calls").split("/")[0]) > 1
    assert "hits" in row(out, "cache")
    assert not row(out, "cache").startswith("0%")
    assert row(out, "policy set").startswith(f"{version[:12]}, 15 policies, ")
    assert row(out, "failing calls") == row(out, "turned away") == "none"
    assert row(out, "startling-animals").split()[3] == "100.0%"
    assert "and 13 policies that flag less" in out


@pytest.mark.parametrize(
    ("gauge", "told"),
    [
        ("moderation_policy_set_stale", "STALE"),
        ("moderation_policy_reload_failed", "THE FILES CANNOT BE USED"),
    ],
)
async def test_what_is_wrong_is_told_aloud(gauge: str, told: str) -> None:
    lines = [
        *('moderation_build_info{version="9"} 1', "moderation_ready 0", f"{gauge} 1"),
        *("moderation_workers 1", "moderation_workers_wanted 2"),
        "moderation_worker_restarts_total 3",
        "process_start_time_seconds 1",
    ]
    with answering("\n".join([*lines, ""]).encode()) as port:
        ended = await moderation("top", "--once", "--url", f"127.0.0.1:{port}", "--interval", "0.1")

    assert ended.exit_code == 0, ended.err
    assert "moderation 9  NOT READY" in ended.out
    assert row(ended.out, "policy set").endswith(told)
    assert row(ended.out, "workers") == "1 of 2, 3 replaced"


@pytest.mark.parametrize(
    ("metrics", "name", "told"),
    [
        (
            ("moderation_decision_log_failing 1", "moderation_decision_log_lost_total 7"),
            "decision log",
            "FAILS, 7 answers without a record",
        ),
        (
            ("moderation_decision_log_failing 0", "moderation_decision_log_lost_total 7"),
            "decision log",
            "7 answers without a record",
        ),
        (
            ("moderation_tls_reload_failed 1", "moderation_keys_reload_failed 1"),
            "CANNOT BE USED",
            "certificates, the file of keys; the last good ones count",
        ),
    ],
)
async def test_what_is_well_is_not_listed_but_what_is_wrong_is(
    metrics: tuple[str, ...], name: str, told: str
) -> None:
    well = [line.rpartition(" ")[0] + " 0" for line in metrics]
    lines = ['moderation_build_info{version="9"} 1', "process_start_time_seconds 1"]
    outs = []
    for state in (metrics, well):
        with answering("\n".join([*lines, *state, ""]).encode()) as port:
            url = f"127.0.0.1:{port}"
            ended = await moderation("top", "--once", "--url", url, "--interval", "0.1")
        assert ended.exit_code == 0, ended.err
        outs.append(ended.out)

    assert row(outs[0], name) == told
    assert name not in outs[1]


@pytest.mark.parametrize("command", [("top", "--once", "--url"), ("health", "--metrics-address")])
async def test_the_port_of_the_requests_is_told_without_a_byte_of_its_answer(
    command: tuple[str, ...], server: Server
) -> None:
    ended = await moderation(*command, server.address)

    assert ended.exit_code == 69
    assert ended.err.endswith(
        "what answers there speaks no HTTP; metrics have a port of their own (metrics.port)\n"
    )


async def test_into_a_pipe_frames_follow_each_other(server: Server) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "moderation", "top", "--interval", "0.1"),
        *("--url", server.metrics_url),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": PYTHONPATH},
    )
    assert process.stdout is not None
    headings = [line async for line in first_lines(process.stdout, 3)]
    process.send_signal(signal.SIGINT)

    await process.communicate()
    assert process.returncode == 0
    assert ["since its start" in one for one in headings] == [True, False, False]


async def first_lines(stream: asyncio.StreamReader, count: int) -> AsyncIterator[str]:
    """Of so many frames."""
    while count:
        line = (await asyncio.wait_for(stream.readline(), PATIENCE_S)).decode()
        if line.startswith("http"):
            count -= 1
            yield line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_a_terminal_it_goes_on_without_the_server_and_tidies_up(
    server: Server, number: int
) -> None:
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
        page = answer.read()
    with answering(page) as port:
        terminal = Terminal("--url", f"127.0.0.1:{port}", "--interval", "0.1")
        terminal.wait_for(rb"in 0\.\d s")
    terminal.wait_for(rb"Connection refused; trying again every 0\.1 s")

    code = terminal.end(number)

    assert code == 0
    assert terminal.written.index(ALTERNATE_SCREEN) < terminal.written.index(USUAL_SCREEN)
    assert b"Traceback" not in terminal.written


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (b"<html>hello</html>", 200, "what answers there shows no metrics"),
        (b"some_metric 1\n", 200, "what answers there is no server of this service"),
        (b"", 404, "it answers with HTTP 404"),
    ],
)
async def test_what_is_no_server_of_ours_is_told(body: bytes, status: int, told: str) -> None:
    with answering(body, status=status) as port:
        ended = await moderation("top", "--once", "--url", f"http://127.0.0.1:{port}")

    assert ended.exit_code == 69
    assert told in ended.err


async def test_an_address_that_is_none_is_told() -> None:
    ended = await moderation("top", "--once", "--url", "ftp://there")

    assert ended.exit_code == 64
    assert "write http://HOST:PORT/metrics" in ended.err
