"""What becomes of decoding processes that die, hang or swell, and what they cannot do."""

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest

from moderation.adapters.images import DecodeLimits, PillowDecoder
from moderation.adapters.images.landlock import SCOPES_SINCE, forbid_the_rest, landlock_version
from moderation.adapters.images.worker import OWNER_S, WorkerLimits
from moderation.adapters.images.workers import MODULE, DecodeWorkers, IsolatedDecoder, Worker
from moderation.core.content import Crop, Interpolation, PixelSpec
from moderation.core.errors import FailureCode, NotReady, UnjudgeableContent
from moderation.service.outcomes import DecoderLoss
from tests.decoders import (
    READY_S,
    WORKED_S,
    Find,
    busy_decoder,
    decoders_of,
    ready_decoders,
    seconds_until,
)
from tests.fakes import RecordingTelemetry
from tests.picture_builders import a_jpeg, large_png, slow_jpeg

SPEC = PixelSpec(32)
LIMITS = DecodeLimits()
HASTY = WorkerLimits(timeout_s=0.2, max_memory_bytes=2**30)
ROOMY = WorkerLimits(timeout_s=30, max_memory_bytes=2**30)
SECRET = "MODERATION_TEST_SECRET"
NO_SYSTEM_CALL = 99_999


def workers(
    telemetry: RecordingTelemetry, count: int = 1, limits: WorkerLimits = ROOMY
) -> DecodeWorkers:
    return DecodeWorkers(count, limits, LIMITS, telemetry)


@pytest.fixture
def mine() -> Find:
    """The processes that the test itself started: those of other modules may be there too."""
    bystanders = {process.pid for process in decoders_of(os.getpid())}
    return lambda: [one for one in decoders_of(os.getpid()) if one.pid not in bystanders]


@pytest.fixture
def telemetry() -> RecordingTelemetry:
    return RecordingTelemetry()


def test_one_set_of_processes_decodes_for_several_encoders(telemetry: RecordingTelemetry) -> None:
    squashed = PixelSpec(16, Crop.SQUASH, interpolation=Interpolation.BILINEAR)

    with workers(telemetry) as running:
        frames = [running.decoder(spec).decode(a_jpeg()) for spec in (SPEC, squashed)]

    assert [one.shape for one in frames] == [(1, 32, 32, 3), (1, 16, 16, 3)]
    np.testing.assert_array_equal(frames[1], PillowDecoder(squashed, LIMITS).decode(a_jpeg()))


def refusal(decoder: IsolatedDecoder, picture: bytes) -> FailureCode:
    with pytest.raises(UnjudgeableContent) as caught:
        decoder.decode(picture)
    return caught.value.code


def test_a_process_that_is_killed_costs_the_picture_it_had(
    telemetry: RecordingTelemetry, mine: Find
) -> None:
    with workers(telemetry) as running, ThreadPoolExecutor(1) as thread:
        decoder = running.decoder(SPEC)
        slow = thread.submit(refusal, decoder, slow_jpeg())
        busy_decoder(mine).kill()

        assert slow.result() is FailureCode.DECODER_CRASHED
        assert len(decoder.decode(a_jpeg())) == 1
        assert telemetry.decoders_lost == [DecoderLoss.CRASHED]


def test_a_picture_that_takes_too_long_is_given_up(
    telemetry: RecordingTelemetry, mine: Find
) -> None:
    with workers(telemetry, limits=HASTY) as running:
        decoder = running.decoder(SPEC)

        assert refusal(decoder, slow_jpeg()) is FailureCode.DECODER_TIMEOUT
        assert seconds_until(lambda: len(ready_decoders(mine)) == 1) < READY_S
        assert telemetry.decoders_lost == [DecoderLoss.TIMEOUT]


def test_what_the_processes_take_is_told_those_that_died_included(
    telemetry: RecordingTelemetry, mine: Find
) -> None:
    with workers(telemetry, count=2) as running, ThreadPoolExecutor(1) as thread:
        slow = thread.submit(refusal, running.decoder(SPEC), slow_jpeg())
        victim = busy_decoder(mine)
        before = running.use()
        memory = sum(one.memory_info().rss for one in mine())
        victim.kill()
        slow.result()
        after = running.use()
        again = running.use()

    assert before.cpu_s >= WORKED_S
    assert before.memory_bytes == pytest.approx(memory, rel=0.2)
    assert again.cpu_s >= after.cpu_s >= before.cpu_s
    assert running.use().memory_bytes == 0


def test_a_process_that_hangs_is_given_up(telemetry: RecordingTelemetry, mine: Find) -> None:
    with workers(telemetry, limits=HASTY) as running:
        decoder = running.decoder(SPEC)
        mine()[0].suspend()

        # More than the socket takes, so that this side waits while it sends.
        assert refusal(decoder, a_jpeg() + bytes(10 * 2**20)) is FailureCode.DECODER_TIMEOUT


def test_a_process_whose_owner_does_not_end_it_ends_itself(mine: Find) -> None:
    arguments = {"process": asdict(HASTY), "images": asdict(LIMITS)}
    worker = Worker([sys.executable, "-m", MODULE], json.dumps(arguments))
    worker.wait_until_ready()

    with ThreadPoolExecutor(1) as thread:
        slow = thread.submit(worker.decode, SPEC, slow_jpeg(), LIMITS.max_frames_judged, 30)
        process = busy_decoder(mine)
        process.suspend()  # the decoding must not end before its time is up
        time.sleep(HASTY.timeout_s + OWNER_S)
        process.resume()
        with pytest.raises((EOFError, ConnectionError)):
            slow.result()

    assert worker.end() == -signal.SIGALRM


def test_a_picture_too_large_for_the_memory_is_refused(telemetry: RecordingTelemetry) -> None:
    narrow = WorkerLimits(timeout_s=30, max_memory_bytes=192 * 2**20)

    with workers(telemetry, limits=narrow) as running:
        decoder = running.decoder(SPEC)

        assert refusal(decoder, large_png()) is FailureCode.TOO_LARGE
        assert len(decoder.decode(a_jpeg())) == 1
        assert telemetry.decoders_lost == [DecoderLoss.MEMORY]


def test_not_even_enough_memory_for_the_file_is_the_same(telemetry: RecordingTelemetry) -> None:
    tiny = WorkerLimits(timeout_s=30, max_memory_bytes=2**20)

    with workers(telemetry, limits=tiny) as running:
        decoder = running.decoder(SPEC)

        assert refusal(decoder, a_jpeg() + bytes(10 * 2**20)) is FailureCode.TOO_LARGE


def test_a_process_that_dies_idle_is_replaced_and_costs_no_picture(
    telemetry: RecordingTelemetry,
    mine: Find,
) -> None:
    with workers(telemetry, count=2) as running:
        decoder = running.decoder(SPEC)
        seconds_until(lambda: len(ready_decoders(mine)) == 2)
        for process in mine():
            process.kill()

        assert len(decoder.decode(a_jpeg())) == 1
        assert seconds_until(lambda: len(ready_decoders(mine)) == 2) < READY_S
        assert set(telemetry.decoders_lost) == {DecoderLoss.IDLE}


def test_a_process_that_dies_before_it_has_read_its_picture_costs_none(
    telemetry: RecordingTelemetry,
    mine: Find,
) -> None:
    with workers(telemetry) as running, ThreadPoolExecutor(1) as thread:
        decoder = running.decoder(SPEC)
        (process,) = mine()
        process.suspend()
        waiting = thread.submit(decoder.decode, a_jpeg() + bytes(10 * 2**20))
        time.sleep(0.2)  # by then it waits in the middle: a socket takes less than that
        process.kill()

        assert len(waiting.result()) == 1
        assert telemetry.decoders_lost == [DecoderLoss.IDLE]


def test_processes_that_do_not_start_are_told_of(
    telemetry: RecordingTelemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with workers(telemetry) as running, pytest.raises(NotReady, match=r"decode\.isolation"):
        running.decoder(SPEC)


def test_once_a_process_can_be_started_again_pictures_are_decoded_again(
    telemetry: RecordingTelemetry, monkeypatch: pytest.MonkeyPatch, mine: Find
) -> None:
    with workers(telemetry) as running:
        decoder = running.decoder(SPEC)
        with monkeypatch.context() as broken:
            broken.setattr(sys, "executable", "/nowhere/python")
            (process,) = mine()
            process.kill()
            seconds_until(lambda: process.status() == psutil.STATUS_ZOMBIE)
            with pytest.raises(NotReady):
                decoder.decode(a_jpeg())

        assert len(decoder.decode(a_jpeg())) == 1


def test_when_the_owner_is_done_its_processes_are_gone(
    telemetry: RecordingTelemetry, mine: Find
) -> None:
    with workers(telemetry, count=2) as running:
        running.decoder(SPEC)
        started = mine()
        descriptors = psutil.Process().num_fds()

    assert len(started) == 2
    assert not any(process.is_running() for process in started)
    assert psutil.Process().num_fds() == descriptors - 2


def test_a_process_has_few_rights_and_no_secrets(
    telemetry: RecordingTelemetry, monkeypatch: pytest.MonkeyPatch, mine: Find
) -> None:
    monkeypatch.setenv(SECRET, "hunter2")

    with workers(telemetry) as running:
        running.decoder(SPEC)
        (process,) = mine()
        environment, n_open = process.environ(), process.num_fds()
        none = (psutil.RLIMIT_NOFILE, psutil.RLIMIT_NPROC, psutil.RLIMIT_FSIZE, psutil.RLIMIT_CORE)
        limits = [process.rlimit(kind) for kind in none]
        memory = process.rlimit(psutil.RLIMIT_AS)

    assert SECRET not in environment
    assert n_open == 4  # the socket, and three times nothing
    assert limits == [(0, 0)] * 4
    assert memory == (2**30, 2**30)


ATTEMPTS = """
import os, socket
from moderation.adapters.images.worker import WorkerLimits, give_up_rights

give_up_rights(WorkerLimits(timeout_s=1, max_memory_bytes=2**30))
attempts = {
    "open": lambda: open("/etc/passwd"),
    "socket": socket.socket,
    "pipe": os.pipe,
    "memory": lambda: bytearray(2**30),
    "write": lambda: os.write(1, b"still here "),
    "socket after a close": lambda: (os.close(0), socket.socket()),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except (OSError, MemoryError) as error:
        os.write(1, f"{name}: {type(error).__name__}\\n".encode())
"""


def test_what_a_process_has_given_up_it_cannot_do() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPTS], stdout=subprocess.PIPE, text=True, check=True
    )

    assert done.stdout.splitlines() == [
        "open: OSError",
        "socket: OSError",
        "pipe: OSError",
        "memory: MemoryError",
        "still here socket after a close: OSError",
    ]


PATHS_AND_SIGNALS = """
import os, signal, sys
from moderation.adapters.images.worker import WorkerLimits, give_up_rights

give_up_rights(WorkerLimits(timeout_s=1, max_memory_bytes=2**30))
here, parent = sys.argv[1], os.getppid()
attempts = {
    "remove": lambda: os.unlink(here),
    "rename": lambda: os.rename(here, here + "x"),
    "truncate": lambda: os.truncate(here, 0),
    "make a directory": lambda: os.mkdir(here + "d"),
    "make a link": lambda: os.symlink(here, here + "l"),
    "list": lambda: os.listdir("/"),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(parent, signal.SIGUSR1),
    "signal itself": lambda: os.kill(os.getpid(), 0),
}
for name, attempt in attempts.items():
    try:
        attempt()
        told = "done"
    except OSError as error:
        told = type(error).__name__
    os.write(1, f"{name}: {told}\\n".encode())
"""


@pytest.mark.skipif(landlock_version() < SCOPES_SINCE, reason="this kernel's Landlock knows less")
def test_what_needs_no_descriptor_it_cannot_do_either(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("content")

    done = subprocess.run(
        [sys.executable, "-c", PATHS_AND_SIGNALS, str(file)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    told = dict(line.split(": ") for line in done.stdout.splitlines())
    assert told.pop("signal itself") == "done"
    assert len(told) == 8
    assert set(told.values()) <= {"PermissionError", "OSError"}
    assert file.read_text() == "content"
    assert list(tmp_path.iterdir()) == [file]


def test_a_kernel_without_landlock_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.adapters.images.landlock.CREATE_RULESET", NO_SYSTEM_CALL)

    assert forbid_the_rest() == 0


def test_a_kernel_that_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.adapters.images.landlock.FILES_BY_VERSION", {1: 60})

    with pytest.raises(OSError, match="Landlock"):
        forbid_the_rest()


def test_a_process_reads_no_more_of_the_program_than_it_needs() -> None:
    question = (
        "import sys, moderation.adapters.images.worker;"
        "print({'grpc', 'onnxruntime', 'pydantic', 'asyncio'} & set(sys.modules))"
    )

    answer = subprocess.run([sys.executable, "-c", question], stdout=subprocess.PIPE, check=True)

    assert answer.stdout.strip() == b"set()"
