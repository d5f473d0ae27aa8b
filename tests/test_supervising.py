"""What a supervisor does when its workers refuse, die, hang, or will not stop."""

import asyncio
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from moderation import supervising
from moderation.adapters.workers import process
from moderation.service import supervision
from moderation.service.supervision import WorkersLost
from moderation.settings import Settings
from moderation.settings.edge import MetricsSettings, ServerSettings
from moderation.supervising import LONGEST_REST_S, supervise

PATIENCE_S = 60.0


def a_service(workers: int = 2) -> Settings:
    server = ServerSettings(port=0, workers=workers, drain_s=0, grace_s=0.1)
    return Settings(server=server, metrics=MetricsSettings(port=0))


def workers_that(behave: str, *details: str) -> Sequence[str]:
    return sys.executable, "-m", "tests.adapters.workers.a_worker", behave, *details


@pytest.fixture(autouse=True)
def events() -> Iterator[list[dict[str, object]]]:
    with structlog.testing.capture_logs() as captured:
        yield captured  # type: ignore[misc]  # its mappings are dicts


def named(events: list[dict[str, object]], name: str) -> list[dict[str, object]]:
    return [one for one in events if one["event"] == name]


async def until_logged(events: list[dict[str, object]], name: str, times: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(named(events, name)) < times:  # noqa: ASYNC110 - a log has no event to wait for
            await asyncio.sleep(0.01)


async def test_a_worker_that_refuses_to_start_ends_the_service_with_its_code(
    events: list[dict[str, object]],
) -> None:
    with pytest.raises(WorkersLost, match="worker 0 does not start") as error:
        await supervise(a_service(), workers_that("exit", "78"))

    assert error.value.exit_code == 78
    assert len(named(events, "worker_started")) == 1, "the others are not even tried"


async def test_workers_that_die_again_and_again_end_the_service(
    events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    with pytest.raises(WorkersLost, match="die soon after they start, of signal 9") as error:
        await supervise(a_service(1), workers_that("die"))

    assert error.value.exit_code == 70
    assert len(named(events, "worker_lost")) == 4


async def test_while_others_serve_one_that_always_dies_is_only_tried_again(
    events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "FIRST_PAUSE_S", 0.01)
    serving = asyncio.create_task(supervise(a_service(), workers_that("die_if", "1")))
    await until_logged(events, "worker_lost", times=6)
    is_over = serving.done()
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

    assert not is_over
    assert {one["worker"] for one in named(events, "worker_lost")} == {1}


async def test_one_that_does_not_stop_in_time_is_killed(
    events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "SPARE_S", 0.5)
    serving = asyncio.create_task(supervise(a_service(), workers_that("stay")))
    await until_logged(events, "serving")
    asked = time.monotonic()

    os.kill(os.getpid(), signal.SIGTERM)
    await serving

    assert time.monotonic() - asked < PATIENCE_S / 2
    assert len(named(events, "stopping")) == 1


async def test_a_second_signal_is_passed_on_to_hurry(
    events: list[dict[str, object]], tmp_path: Path
) -> None:
    serving = asyncio.create_task(supervise(a_service(), workers_that("count", str(tmp_path))))
    await until_logged(events, "serving")

    os.kill(os.getpid(), signal.SIGTERM)
    await until_logged(events, "stopping")
    await asyncio.sleep(0.1)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

    assert len(os.listdir(tmp_path)) == 2, "both have heard it twice"


async def test_one_that_hangs_is_killed_and_replaced(
    events: list[dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "COUNT_EVERY_S", 0.1)
    monkeypatch.setattr(process, "METRICS_S", 0.3)
    serving = asyncio.create_task(supervise(a_service(1), workers_that("hang")))
    await until_logged(events, "serving")
    hung = time.monotonic()
    await until_logged(events, "worker_silent")
    took_s = time.monotonic() - hung
    await until_logged(events, "worker_lost")
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

    assert named(events, "worker_lost")[0]["reason"] == "signal 9"
    assert took_s < LONGEST_REST_S, "nobody rested because of what was waited for in vain"


def test_half_a_minute_is_the_most_that_a_worker_may_hang() -> None:
    each_s = process.METRICS_S + supervising.COUNT_EVERY_S

    assert 20 <= supervising.MAX_SILENCES * each_s <= 30


async def ready_at(events: list[dict[str, object]]) -> int:
    """The status that a probe of the supervisor gets, in little time."""
    url = str(named(events, "listening")[0]["metrics"]).removesuffix("/metrics") + "/ready"

    def ask() -> int:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            refused.close()
            return refused.code

    return await asyncio.to_thread(ask)


@pytest.mark.parametrize(("behaviour", "status"), [("hang", 200), ("waver", 503)])
async def test_a_probe_is_answered_by_what_workers_told_without_asking_them(
    events: list[dict[str, object]], behaviour: str, status: int
) -> None:
    serving = asyncio.create_task(supervise(a_service(), workers_that(behaviour)))
    await until_logged(events, "serving")
    answered = await ready_at(events)
    os.kill(os.getpid(), signal.SIGTERM)
    await serving

    assert answered == status
