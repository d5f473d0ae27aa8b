"""Decoding processes of a real server that are killed, run out of time or memory, or orphaned."""

import signal
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import psutil
import pytest

from moderation.client import Action, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.decoders import (
    READY_S,
    busy_decoder,
    decoders_of,
    idle_decoders,
    is_gone,
    ready_decoders,
    seconds_until,
)
from tests.e2e.server import Server, running_server
from tests.picture_builders import a_jpeg, large_png, slow_jpeg

pytestmark = pytest.mark.e2e

POLICIES = Path(__file__).parents[2] / "policies"
DECODERS = 2
HASTY = {"MODERATION_DECODE__TIMEOUT_S": "0.2"}
ONE_DECODER = {"MODERATION_DECODE__THREADS": "1"}
NARROW = {"MODERATION_DECODE__MAX_MEMORY_BYTES": str(192 * 2**20)}
KILLS = 20
MB = 2**20
_numbers = count()


@contextmanager
def serving(
    env: Mapping[str, str] | None = None, timeout_s: float = 30
) -> Iterator[tuple[Server, ModerationClient]]:
    with (
        running_server(POLICIES, env=env) as server,
        ModerationClient(server.address, timeout_s=timeout_s) as client,
    ):
        yield server, client


def fresh(picture: bytes) -> bytes:
    """The same picture in bytes that no cache has seen."""
    return picture + b"%d" % next(_numbers)


def failure(decision: pb.Decision) -> str:
    assert Action(decision.action) is Action.REVIEW
    return pb.FailureCode.Name(decision.failure.code).removeprefix("FAILURE_CODE_").lower()


def is_judged(client: ModerationClient) -> bool:
    decision = client.moderate(fresh(a_jpeg()))
    return not decision.HasField("failure")


def restarts(server: Server, reason: str) -> float:
    return server.metrics()[f'moderation_decoder_restarts_total{{reason="{reason}"}}']


@pytest.mark.case(58)
def test_a_killed_decoder_costs_the_picture_that_it_had_and_nobody_else() -> None:
    picture = fresh(slow_jpeg())
    with serving() as (server, client), ThreadPoolExecutor(2) as threads:
        decoders = partial(decoders_of, server.process.pid)
        slow = threads.submit(client.moderate, picture)
        victim = busy_decoder(decoders)
        others = threads.submit(lambda: [is_judged(client) for _ in range(40)])
        victim.kill()
        refused = slow.result()

        assert failure(refused) == "decoder_crashed"
        assert seconds_until(lambda: len(ready_decoders(decoders)) == DECODERS) < READY_S
        assert all(others.result())
        again = client.moderate(picture)
        assert failure(again) == "decoder_crashed"
        assert restarts(server, "crashed") == 1, "it was not tried again"
        assert server.wait_for_seen("decoder_replaced")["reason"] == "crashed"


def test_a_picture_that_takes_too_long_is_refused_while_others_are_judged() -> None:
    picture = fresh(slow_jpeg())
    with serving(HASTY) as (server, client), ThreadPoolExecutor(1) as threads:
        decoders = partial(decoders_of, server.process.pid)
        slow = threads.submit(client.moderate, picture)
        others = [is_judged(client) for _ in range(10)]

        assert failure(slow.result()) == "decoder_timeout"
        assert all(others)
        assert seconds_until(lambda: len(ready_decoders(decoders)) == DECODERS) < READY_S
        assert failure(client.moderate(picture)) == "decoder_timeout"
        assert restarts(server, "timeout") == 1, "it was not tried again"


def test_a_picture_too_large_for_the_memory_is_refused_while_others_are_judged() -> None:
    picture = fresh(large_png())
    with serving(NARROW) as (server, client):
        refused = client.moderate(picture)

        assert failure(refused) == "too_large"
        assert is_judged(client)
        assert failure(client.moderate(picture)) == "too_large"
        assert restarts(server, "memory") == 1, "it was not tried again"


def test_without_a_cache_every_try_costs_a_decoder_and_the_service_stays() -> None:
    picture = fresh(slow_jpeg())
    with serving({**HASTY, "MODERATION_CACHE__MAX_BYTES": "0"}) as (server, client):
        for _ in range(3):
            assert failure(client.moderate(picture)) == "decoder_timeout"

        assert is_judged(client)
        assert restarts(server, "timeout") == 3


def test_many_kills_leave_neither_descriptors_nor_memory_nor_zombies() -> None:
    with serving() as (server, client), ThreadPoolExecutor(1) as threads:
        service = psutil.Process(server.process.pid)
        decoders = partial(decoders_of, service.pid)

        def kill_one() -> None:
            seconds_until(lambda: len(idle_decoders(decoders)) == DECODERS)
            slow = threads.submit(client.moderate, fresh(slow_jpeg()))
            busy_decoder(decoders).kill()
            assert failure(slow.result()) == "decoder_crashed"

        kill_one()
        seconds_until(lambda: len(idle_decoders(decoders)) == DECODERS)
        before, descriptors = service.memory_info().rss, service.num_fds()
        for _ in range(KILLS):
            kill_one()
        seconds_until(lambda: len(ready_decoders(decoders)) == DECODERS)

        assert restarts(server, "crashed") == KILLS + 1
        seconds_until(lambda: service.num_fds() <= descriptors)  # a scrape takes one for a while
        assert service.memory_info().rss - before < 10 * MB
        assert len(service.children()) == DECODERS


@pytest.mark.case(45)
def test_a_caller_that_leaves_frees_its_decoder_within_the_time_for_one_picture() -> None:
    env = {**ONE_DECODER, "MODERATION_DECODE__TIMEOUT_S": "0.5"}
    with serving(env) as (server, client):
        with ModerationClient(server.address, timeout_s=0.1) as hasty:
            left = hasty.moderate(fresh(slow_jpeg()))
        is_answered = is_judged(client)

        assert left.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
        assert is_answered


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_decoder_outlives_the_service(number: signal.Signals) -> None:
    with serving() as (server, client):
        assert is_judged(client)
        orphans = decoders_of(server.process.pid)
        server.process.send_signal(number)
        server.process.wait(30)

        assert len(orphans) == DECODERS
        assert seconds_until(lambda: all(map(is_gone, orphans))) < 1


def test_a_decoder_at_work_outlives_a_killed_service_by_no_more_than_its_picture() -> None:
    with serving(timeout_s=2) as (server, client), ThreadPoolExecutor(1) as threads:
        threads.submit(client.moderate, fresh(slow_jpeg()))
        orphan = busy_decoder(partial(decoders_of, server.process.pid))
        server.process.kill()
        server.process.wait(30)

        assert seconds_until(lambda: is_gone(orphan)) < 5


def test_on_threads_there_are_no_processes() -> None:
    with serving({"MODERATION_DECODE__ISOLATION": "thread"}) as (server, client):
        assert is_judged(client)
        assert psutil.Process(server.process.pid).children() == []
