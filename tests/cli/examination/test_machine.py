"""Limits, clocks, ports and decoding: what the machine gives, really taken away."""

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moderation.adapters.cgroups import cpu_quota
from moderation.cli.examination import clocks, decoding, limits, ports
from moderation.cli.examination.findings import Level
from moderation.settings import Settings
from tests.cli.examination.patients import levels, policies_in, settings_of, worst
from tests.cli.pages import answering
from tests.e2e.server import running_server

FEW = 256
LONG_AGO = "Mon, 02 Mar 2026 12:00:00 GMT"


@contextmanager
def descriptors(soft: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_few_descriptors_for_the_connections_are_told() -> None:
    settings = settings_of(server__max_connections=FEW)
    with descriptors(FEW):
        few = worst(limits.look(settings))
        enough = worst(limits.look(settings_of(server__max_connections=100)))

    # 64 of its own, 32 for the metrics' port, and 4 for each of 2 decoders.
    assert (few.level, few.where) == (Level.WARN, "RLIMIT_NOFILE")
    assert "LimitNOFILE=360" in few.cure
    assert "server.max_connections to 152" in few.cure
    assert enough.level is Level.OK


def test_a_hard_limit_that_is_in_the_way_is_told() -> None:
    finding = limits.descriptors(settings_of(), 1024, 1024)

    assert "its hard limit too" in finding.cure


def test_too_little_memory_is_told_with_what_takes_most() -> None:
    found = list(limits.look(settings_of(limits__max_memory_bytes=2**30)))

    finding = worst(found)
    assert (finding.level, finding.where) == (Level.WARN, "memory")
    assert "decode.max_memory_bytes" in finding.cure


def test_each_worker_takes_memory_of_its_own() -> None:
    alone = limits.memory(settings_of(), limit_bytes=2**31 + 2**29)
    four = limits.memory(settings_of(server__workers=4), limit_bytes=2**31 + 2**29)

    assert (alone.level, four.level) == (Level.OK, Level.WARN)


def test_memory_is_weighed_without_an_encoder_too() -> None:
    settings = settings_of(encoder__bundle="nobody")

    assert limits.memory(settings, limit_bytes=2**40).level is Level.OK


@pytest.mark.parametrize(
    ("files", "groups", "quota"),
    [
        ({"a/b/cpu.max": "150000 100000", "a/cpu.max": "max 100000"}, "0::/a/b\n", 1.5),
        ({"a/cpu.max": "400000 100000", "cpu.max": "200000 100000"}, "0::/a\n", 2.0),
        (
            {"cpu/x/cpu.cfs_quota_us": "50000", "cpu/x/cpu.cfs_period_us": "100000"},
            "3:memory:/x\n2:cpu,cpuacct:/x\n",
            0.5,
        ),
        (
            {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"},
            "2:cpu,cpuacct:/x\n",
            None,
        ),
        ({}, "", None),
    ],
)
def test_the_strictest_quota_around_the_process_is_found(
    tmp_path: Path, files: dict[str, str], groups: str, quota: float | None
) -> None:
    (tmp_path / "cgroup").write_text(groups)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")

    assert cpu_quota(cgroups=tmp_path, proc=tmp_path) == quota


def test_without_cgroups_there_is_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(cgroups=tmp_path, proc=tmp_path / "gone") is None


@pytest.mark.parametrize(
    ("flags", "quota", "cured"),
    [
        ({"encoder__threads": 9}, None, {"encoder.threads"}),
        ({"decode__threads": 9}, None, {"decode.threads"}),
        ({"encoder__threads": 0}, 1.5, {"encoder.threads", "decode.threads"}),
        ({"encoder__threads": 0}, None, set()),
        ({"encoder__threads": 2}, 2.0, set()),
        ({"encoder__threads": 3, "server__workers": 2}, None, {"encoder.threads"}),
        ({"encoder__threads": 2, "server__workers": 2}, None, set()),
    ],
)
def test_threads_that_no_core_is_there_for_are_told(
    flags: dict[str, int], quota: float | None, cured: set[str]
) -> None:
    found = list(limits.cores(settings_of(**flags), available=4, quota=quota))

    assert {one.where for one in found if one.level is Level.WARN} == cured


@pytest.mark.parametrize(("now", "level"), [(0.0, Level.FAIL), (1.8e9, Level.OK)])
def test_a_clock_that_cannot_be_right_is_told(now: float, level: Level) -> None:
    assert clocks.year(now).level is level


@pytest.mark.parametrize(("jump_s", "level"), [(-60.0, Level.WARN), (0.01, Level.OK)])
def test_a_clock_that_is_being_set_is_told(jump_s: float, level: Level) -> None:
    walls, steady = iter([100.0, 100.2 + jump_s]), iter([5.0, 5.2])

    finding = clocks.evenness(lambda: next(walls), lambda: next(steady), lambda _: None)

    assert finding.level is level


@pytest.mark.parametrize(
    ("body", "date", "told"),
    [
        (b"moderation_build_info 1", LONG_AGO, [Level.WARN]),
        (b"moderation_build_info 1", None, []),
        (b"something else", LONG_AGO, []),
    ],
)
def test_a_server_with_another_clock_is_told(
    body: bytes, date: str | None, told: list[Level]
) -> None:
    with answering(body, date) as port:
        found = list(clocks.look(settings_of(metrics__port=port)))

    assert levels(found) == [Level.OK, Level.OK, *told]


def test_a_running_server_is_known_by_its_ports_and_agrees_on_the_time(tmp_path: Path) -> None:
    with running_server(policies_in(tmp_path / "policies")) as server:
        settings = settings_of(
            server__port=int(server.address.rpartition(":")[2]),
            metrics__port=int(server.metrics_url.removesuffix("/metrics").rpartition(":")[2]),
        )
        found = list(ports.look(settings))
        times = list(clocks.look(settings))

    assert levels(found) == [Level.OK, Level.OK]
    assert found[0].what.endswith(", serving")
    assert found[1].what == "a server of this service runs here: it shows its metrics"
    assert times[-1].what == "the server that runs here agrees"
    assert levels(ports.look(settings)) == [Level.OK, Level.OK]


def test_a_port_that_another_program_has_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, answering(b"no") as other:
        port = taken.getsockname()[1]
        found = list(ports.look(settings_of(server__port=port, metrics__port=other)))

    assert levels(found) == [Level.FAIL, Level.FAIL]
    assert f"ss -ltnp sport = :{port}" in found[0].cure
    assert found[1].what.startswith("another program listens here")


def test_a_server_that_tells_strangers_nothing_is_known_by_its_metrics() -> None:
    with answering(b"no") as port, answering(b"moderation_build_info 1") as metrics:
        found = list(ports.look(settings_of(server__port=port, metrics__port=metrics)))

    assert levels(found) == [Level.OK, Level.OK]
    assert found[0].what.endswith("it wants a key or certificate")


def test_a_server_that_hangs_is_not_taken_for_another_program() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as hangs,
        answering(b"moderation_build_info 1") as metrics,
    ):
        port = hangs.getsockname()[1]
        found = list(ports.look(settings_of(server__port=port, metrics__port=metrics)))

    assert levels(found) == [Level.FAIL, Level.OK]
    assert found[0].what.startswith("what listens here answers nothing: a server that hangs")
    assert "SIGKILL" in found[0].cure


def test_an_address_of_another_machine_is_told() -> None:
    finding = worst(
        ports.look(settings_of(server__port=0, metrics__host="192.0.2.1", metrics__port=0))
    )

    assert finding.level is Level.FAIL
    assert "metrics.host" in finding.cure


def decodes(settings: Settings) -> Level:
    return worst(decoding.look(settings)).level


def test_pictures_are_decoded_by_a_process() -> None:
    assert decodes(settings_of()) is Level.OK


def test_processes_that_do_not_start_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    assert decodes(settings_of()) is Level.FAIL


def test_limits_that_refuse_every_picture_are_told() -> None:
    assert decodes(settings_of(decode__isolation="thread", decode__max_pixels=10)) is Level.FAIL


def test_decoding_beside_the_service_is_told() -> None:
    assert decodes(settings_of(decode__isolation="thread")) is Level.WARN
