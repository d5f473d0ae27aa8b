"""Server, Prometheus and load, all real: rules have data, and alerts come and go with their causes.

What a second server, broken in many ways at once, has to show is in test_live_faults.py.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from PIL import Image

from tests.deploy.dashboards import BOARDS, queries_of, state_a_review_budget
from tests.deploy.load import CAT, WINE, Load, running_load
from tests.deploy.monitoring import (
    ALERTS,
    ROOT,
    RULES,
    Prometheus,
    missing_tools,
    named_in_the_runbook,
    rules_of,
    running_prometheus,
    until,
)
from tests.e2e.server import Server, running_server

MISSING = missing_tools("prometheus")
pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(bool(MISSING), reason=MISSING),
]

TIGHT = {"MODERATION_LIMITS__MAX_IN_FLIGHT": "4"}
ON_THE_CPU = {"MODERATION_ENCODER__DEVICE": "cpu"}
WITH_A_GPU = "tests.deploy.with_a_gpu"
DRIFT = {"MODERATION_DRIFT__MIN_SCORES": "2", "MODERATION_DRIFT__WINDOW_S": "24"}
VARIABLES = {"__rate_interval": "10s", "__range": "60s", "job": "moderation", "policy": "alcohol"}
STAGING_IS_READY = 'moderation_ready{job="staging"} == 1'
NO_CATS = """\
id: no-cats
title: Cats
phrases: [a cat]
thresholds: {review: 0.4, block: 0.45}
"""


@dataclass(frozen=True)
class Site:
    """What is running."""

    server: Server
    policies: Path
    prometheus: Prometheus
    load: Load


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory = tmp_path_factory.mktemp("site")
    policies = Path(shutil.copytree(ROOT / "policies", directory / "policies"))
    (policies / "no-cats.yaml").write_text(NO_CATS)
    remember_how_they_score(policies, directory)
    with (
        running_server(
            policies, env={**TIGHT, **DRIFT, **ON_THE_CPU}, program=WITH_A_GPU
        ) as server,
        running_prometheus(directory, [server.metrics_url]) as prometheus,
        running_load(server.address) as load,
    ):
        until(lambda: bool(prometheus.query("moderation_ready")), but=str)
        state_a_review_budget(policies, 1.0)  # now, so that Prometheus sees a reload too
        yield Site(server, policies, prometheus, load)


def remember_how_they_score(policies: Path, directory: Path) -> None:
    """Make references of the load's own pictures."""
    pictures = [directory / "cat.jpg", directory / "wine.jpg"]
    for path, picture in zip(pictures, (CAT, WINE), strict=True):
        path.write_bytes(picture)
    command = [sys.executable, "-m", "moderation", "drift", "reference", "--policies", policies]
    command += [argument for path in pictures for argument in ("--on", path)]
    environment = {**os.environ, **DRIFT, "MODERATION_POLICIES__CACHE_MAX_BYTES": "0"}
    subprocess.run([*map(str, command)], check=True, timeout=100, env=environment)


def test_every_recording_rule_has_data(site: Site) -> None:
    names = {rule["record"] for rule in rules_of(RULES)}
    prometheus = site.prometheus

    def empty() -> list[str]:
        return sorted(name for name in names if not prometheus.query(name))

    def full() -> bool:
        site.load.burst()  # for how many calls failed: without one there is no number
        return not empty()

    until(full, but=empty)

    assert len(names) >= 25
    assert prometheus.broken_rules() == {}


@pytest.mark.parametrize("board", BOARDS, ids=lambda path: path.stem)
def test_every_panel_has_data(site: Site, board: Path) -> None:
    queries = queries_of(board, VARIABLES)
    prometheus = site.prometheus

    def empty() -> list[str]:
        return [name for name, query in queries.items() if not prometheus.query(query)]

    until(lambda: not empty(), but=empty)

    assert not any("$" in query for query in queries.values())


def test_the_dashboards_can_be_drawn_without_grafana(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", None
    )  # a decoder of this process may have set it
    command = [sys.executable, str(ROOT / "deploy/grafana/pictures.py"), str(tmp_path)]
    command += ["--prometheus", site.prometheus.url, "--minutes", "1", "--rate", "10s"]

    until(lambda: bool(site.prometheus.query("policy:moderation_flagged:ratio1h")), but=str)

    subprocess.run(command, check=True, timeout=100)

    pictures = sorted(tmp_path.glob("*.png"))
    assert [path.stem for path in pictures] == [path.stem for path in BOARDS]
    for path in pictures:
        with Image.open(path) as picture:
            assert min(picture.size) > 500
            assert len(picture.convert("RGB").getcolors(1000) or ()) > 50


def test_nothing_fires_while_nothing_is_wrong(site: Site) -> None:
    def firing() -> set[str]:
        # A crowded test machine may really be too slow.
        return {name for name in site.prometheus.firing() if "Latency" not in name}

    until(lambda: not firing(), but=firing)


@contextmanager
def a_mistake_in_a_policy(site: Site) -> Iterator[Callable[[], None]]:
    mistake = site.policies / "mistake.yaml"
    mistake.write_text("id: mistake\nphrases: [\n")
    try:
        yield lambda: None
    finally:
        mistake.unlink()


@contextmanager
def more_than_there_is_room_for(site: Site) -> Iterator[Callable[[], None]]:
    yield site.load.burst


@contextmanager
def uploads_of_garbage(site: Site) -> Iterator[Callable[[], None]]:
    usual, site.load.pictures = site.load.pictures, (*site.load.pictures, b"no picture")
    try:
        yield lambda: None
    finally:
        site.load.pictures = usual


@contextmanager
def wine_only(site: Site) -> Iterator[Callable[[], None]]:
    usual, site.load.pictures = site.load.pictures, (WINE,)
    try:
        yield lambda: None
    finally:
        site.load.pictures = usual


@contextmanager
def a_second_server_with_a_policy_less(site: Site) -> Iterator[Callable[[], None]]:
    fewer = Path(shutil.copytree(site.policies, site.policies.parent / "fewer"))
    (fewer / "no-cats.yaml").unlink()
    with second_server(site, fewer):
        yield lambda: None


@contextmanager
def a_second_server_without_policies(site: Site) -> Iterator[Callable[[], None]]:
    empty = site.policies.parent / "empty"
    empty.mkdir()
    with second_server(site, empty):
        yield lambda: None


@contextmanager
def a_second_server_that_nothing_confirms(site: Site) -> Iterator[Callable[[], None]]:
    """Its set may be a second old, and its files are looked at once an hour."""
    env = {"MODERATION_POLICIES__MAX_AGE_S": "1", "MODERATION_POLICIES__RECHECK_S": "3600"}
    with second_server(site, site.policies, env=env):
        yield lambda: None


@contextmanager
def a_second_server_whose_workers_die(site: Site) -> Iterator[Callable[[], None]]:
    """All but the first, each time that it was replaced."""
    with second_server(site, site.policies, "--workers", "2") as second:
        supervisor = psutil.Process(second.process.pid)

        def kill_the_youngest() -> None:
            workers = sorted(supervisor.children(), key=psutil.Process.create_time)
            for worker in workers[1:]:
                worker.kill()

        yield kill_the_youngest


@contextmanager
def a_second_server_that_fell_back_to_the_cpu(site: Site) -> Iterator[Callable[[], None]]:
    with second_server(site, site.policies, program=WITH_A_GPU):
        yield lambda: None


@contextmanager
def second_server(
    site: Site,
    policies: Path,
    *flags: str,
    env: Mapping[str, str] | None = None,
    program: str = "moderation",
) -> Iterator[Server]:
    with running_server(policies, *flags, env=env, ready=False, program=program) as second:
        site.prometheus.watch(site.server.metrics_url, second.metrics_url)
        yield second
        site.prometheus.watch(site.server.metrics_url)


@contextmanager
def a_server_that_hangs_beside_a_staging_that_is_well(site: Site) -> Iterator[Callable[[], None]]:
    with running_server(site.policies) as staging:
        site.prometheus.watch(site.server.metrics_url, staging=[staging.metrics_url])
        until(lambda: bool(site.prometheus.query(STAGING_IS_READY)), but=str)
        os.kill(site.server.process.pid, signal.SIGSTOP)
        try:
            yield lambda: None
        finally:
            os.kill(site.server.process.pid, signal.SIGCONT)
        site.prometheus.watch(site.server.metrics_url)


def test_every_query_of_the_runbook_has_data(site: Site) -> None:
    queries = [named for named in named_in_the_runbook() if "(" in named]

    def empty() -> list[str]:
        return [query for query in queries if not site.prometheus.query(query)]

    with uploads_of_garbage(site), more_than_there_is_room_for(site) as burst:

        def answered() -> bool:
            burst()
            return not empty()

        until(answered, but=empty)

    assert len(queries) >= 10


Fault = Callable[[Site], AbstractContextManager[Callable[[], None]]]

FAULTS: dict[Fault, set[str]] = {
    a_mistake_in_a_policy: {"ModerationPolicyReloadFails"},
    more_than_there_is_room_for: {
        "ModerationOverloaded",
        *(f"ModerationErrorBudgetBurn{speed}" for speed in ("Fast", "Steady", "Slow", "Creeping")),
    },
    uploads_of_garbage: {"ModerationUnjudgeableRises"},
    wine_only: {
        *("ModerationPolicyFlagsMore", "ModerationPolicyFlagsLess"),
        "ModerationScoresDrift",
    },
    a_second_server_with_a_policy_less: {"ModerationPolicySetsDiffer"},
    a_second_server_without_policies: {"ModerationNotReady"},
    a_second_server_that_nothing_confirms: {"ModerationPolicySetStale"},
    a_second_server_that_fell_back_to_the_cpu: {"ModerationGpuLiesIdle"},
    a_second_server_whose_workers_die: {"ModerationWorkersMissing"},
    a_server_that_hangs_beside_a_staging_that_is_well: {
        *("ModerationDown", "ModerationServerSilent"),
    },
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_alerts_fire_and_resolve(site: Site, fault: Fault) -> None:
    alerts, firing = FAULTS[fault], site.prometheus.firing
    until(lambda: not alerts & firing(), but=firing)

    with fault(site) as goes_on:

        def fires() -> bool:
            goes_on()
            return alerts <= firing()

        until(fires, but=firing)

    until(lambda: not alerts & firing(), but=firing)


def test_every_alert_that_a_fault_plants_is_shipped() -> None:
    planted = set().union(*FAULTS.values())

    assert planted <= {rule["alert"] for rule in rules_of(ALERTS)}
    assert all(re.fullmatch(r"Moderation\w+", name) for name in planted)
