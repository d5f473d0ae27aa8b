"""How the server starts to stop, how it stops, and what it does when it cannot go on."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2
from PIL import Image

from moderation.adapters.encoders.manifest import Manifest
from moderation.client import Action, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.adapters.encoders.bundles import (
    manifest_of,
    passing_report,
    write_bundle,
    write_endless_image_graph,
)
from tests.e2e.server import (
    DRAIN,
    GRACE,
    STATE,
    Server,
    free_port,
    health_of,
    running_server,
    until,
)
from tests.picture_builders import a_png, blotches

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVING = health_pb2.HealthCheckResponse.SERVING
AT_ONCE_S = 0.5
"""NOT_SERVING is asked for within 100 ms; a loaded machine needs some time to ask."""
MEMORY_BYTES, STEPS = 2**30, 16
MOST_MEMORY, SLACK = 0.95, 0.01
"""The share beyond which nothing is let in, and what requests take between two looks at it."""

COLOURS = """\
id: reds
title: Red pictures
phrases: [red]
thresholds: {review: 0.6, block: 0.9}
"""


def stop(server: Server) -> float:
    """Send SIGTERM; when that was."""
    server.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def test_a_stop_says_so_at_once_and_answers_on_until_clients_have_left() -> None:
    with (
        running_server(POLICIES, env={DRAIN: "3"}) as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        asked = stop(server)
        until(lambda: health_of(server.address) == NOT_SERVING)
        heard_s = time.monotonic() - asked
        decisions = [client.moderate(CAT) for _ in range(5)]
        exit_code = server.process.wait(30)
        took_s = time.monotonic() - asked

    assert heard_s < AT_ONCE_S
    assert all(one.decision_id for one in decisions)
    assert exit_code == 0
    assert took_s >= 3


def test_a_stop_while_the_policies_are_loaded_is_heard(tmp_path: Path) -> None:
    phrases = [f"thing number {number}" for number in range(5000)]  # takes seconds to embed
    (tmp_path / "things.yaml").write_text(
        f"id: things\ntitle: Things\nphrases: {phrases}\nthresholds: {{review: 0.9}}\n"
    )
    port = free_port()
    command = [sys.executable, "-m", "moderation", "serve", "--port", str(port)]
    command += ["--metrics-port", "0", "--policies", str(tmp_path), "--log-format", "json"]
    state = {STATE: str(tmp_path / "state")}

    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, **state}
    ) as server:
        until(lambda: is_taken(port))
        server.send_signal(signal.SIGTERM)
        _, told = server.communicate(timeout=60)

    assert server.returncode == 0
    assert '"event": "stopping"' in told
    assert '"event": "listening"' not in told


def is_taken(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def hanging(
    env: Mapping[str, str], timeout_s: float | None = None
) -> Iterator[tuple[Server, "grpc.CallFuture[pb.ModerateResponse]"]]:
    """A server with a request under way that will never be done."""
    env = {"MODERATION_ENCODER__MAX_RUN_S": "60", "MODERATION_LIMITS__MAX_REQUEST_S": "60", **env}
    request = pb.ModerateRequest(content=pb.Content(image=of_one_colour("white")))
    with (
        running_server(POLICIES, env=env, program="tests.e2e.hung") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        asking = stub.Moderate.future(request, timeout=timeout_s)
        until(lambda: server.metrics()["moderation_in_flight"] == 1)
        yield server, asking


def ends(server: Server, asking: "grpc.CallFuture[pb.ModerateResponse]", within_s: float) -> None:
    """The process ends in that time, and whoever still asked is told so."""
    exit_code = server.process.wait(within_s)
    server.wait_for_seen("stop_overdue")

    assert exit_code == 70
    assert asking.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.case(57)
@pytest.mark.parametrize("waiting", [DRAIN, GRACE])
def test_a_second_signal_is_in_a_hurry_whatever_is_under_way(waiting: str) -> None:
    with hanging({DRAIN: "0", GRACE: "60", waiting: "60"}) as (server, asking):
        stop(server)
        until(lambda: is_leaving(server))
        stop(server)
        ends(server, asking, within_s=10)


@pytest.mark.case(57)
def test_a_stop_waits_for_what_is_under_way_no_longer_than_its_grace() -> None:
    with hanging({DRAIN: "0", GRACE: "2"}) as (server, asking):
        asked = time.monotonic()
        stop(server)
        ends(server, asking, within_s=12)
        took_s = time.monotonic() - asked

    assert took_s >= 2


def is_leaving(server: Server) -> bool:
    """Whether it has heard of a stop: it says so to who asks, or takes no more connections."""
    try:
        return bool(health_of(server.address) == NOT_SERVING)
    except grpc.RpcError:
        return True


@pytest.mark.case(54)
def test_nothing_is_let_in_while_memory_is_nearly_full_and_all_is_when_it_is_not() -> None:
    env = {
        "MODERATION_LIMITS__MAX_MEMORY_BYTES": str(MEMORY_BYTES),
        "TEST_BALLAST_BYTES": str(MEMORY_BYTES // STEPS),
    }
    with (
        running_server(POLICIES, env=env, program="tests.e2e.swelling") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        process = psutil.Process(server.process.pid)

        def refusal() -> grpc.Call | None:
            call = stub.Moderate.future(pb.ModerateRequest(content=pb.Content(image=CAT)))
            return call if call.code() is not grpc.StatusCode.OK else None

        shares: list[float] = []
        while (refused := refusal()) is None and len(shares) <= STEPS:
            shares.append(process.memory_info().rss / MEMORY_BYTES)
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.3)
        shares.append(process.memory_info().rss / MEMORY_BYTES)
        health = health_of(server.address)
        for _ in shares[1:]:
            process.send_signal(signal.SIGUSR2)
            time.sleep(0.02)
        until(lambda: refusal() is None)

    assert refused
    assert shares[-2] < MOST_MEMORY + SLACK
    assert shares[-1] > MOST_MEMORY - SLACK
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-retry-pushback-ms" in dict(refused.trailing_metadata() or ())
    assert health == SERVING  # others may still have answers that are on their way


def of_one_colour(name: str) -> bytes:
    return a_png(Image.new("RGB", (32, 32), name))


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A bundle whose graph never ends for a picture with a white pixel."""
    directory = tmp_path / "endless"
    write_bundle(directory)
    write_endless_image_graph(directory / "image.onnx")
    manifest: Manifest = manifest_of(directory)
    passing_report(manifest).store(directory, manifest)
    return directory


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "reds.yaml").write_text(COLOURS)
    return directory


@pytest.mark.case(65)
def test_a_picture_on_which_the_encoder_hangs_costs_nobody_else_an_answer(
    endless: Path, colours: Path
) -> None:
    env = {"MODERATION_ENCODER__MAX_RUN_S": "3", "MODERATION_LIMITS__MAX_REQUEST_S": "30"}
    white, dark = of_one_colour("white"), of_one_colour("maroon")
    with (
        running_server(colours, "--encoder", str(endless), env=env) as server,
        ModerationClient(server.address, timeout_s=30) as client,
        ThreadPoolExecutor(4) as pool,
    ):
        hanging = pool.submit(client.moderate, white)
        others = list(pool.map(client.moderate, [dark] * 3))
        hung = hanging.result()
        told = server.wait_for_seen("encoder_stuck")
        after = client.moderate(blotches(7))

    assert Action(hung.action) is Action.REVIEW
    assert hung.failure.code == pb.FAILURE_CODE_ENCODER_FAILED
    assert [Action(one.action) for one in others] == [Action.BLOCK] * 3
    assert told["seconds"] >= 3
    assert not after.HasField("failure")


@pytest.mark.case(65)
def test_an_encoder_that_never_comes_back_ends_the_process_for_its_supervisor() -> None:
    with hanging({"MODERATION_ENCODER__MAX_RUN_S": "2"}, timeout_s=1) as (server, asking):
        code = asking.code()
        until(lambda: health_of(server.address) == NOT_SERVING)
        is_alive = server.process.poll() is None
        exit_code = server.process.wait(10)
        server.wait_for_seen("encoder_lost")

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert is_alive, "nobody was told before it ended"
    assert exit_code == 70
