"""How full memory is, by cgroups of both versions and by a limit of our own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from moderation.adapters.memory import GIVES_BACK_EVERY_S, LOOK_EVERY_S, MemoryGauge

V1_NO_LIMIT = "9223372036854771712"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def write_group(group: Path, **files: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (group / name.replace("__", ".")).write_text(text + "\n")


def write_v2(group: Path, *, limit: str, used: int, cached: int = 0) -> None:
    stat = f"anon 1\ninactive_file {cached}"
    write_group(group, memory__max=limit, memory__current=str(used), memory__stat=stat)


def write_v1(group: Path, *, limit: str, used: int, cached: int = 0) -> None:
    stat = f"inactive_file 1\ntotal_inactive_file {cached}"
    write_group(
        group,
        memory__limit_in_bytes=limit,
        memory__usage_in_bytes=str(used),
        memory__stat=stat,
    )


def gauge_of(tmp_path: Path, groups: str, clock: Clock) -> MemoryGauge:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text(groups)
    return MemoryGauge(cgroups=tmp_path, proc=tmp_path / "proc", clock=clock)


def test_a_group_of_version_2_counts_what_cannot_be_dropped(tmp_path: Path, clock: Clock) -> None:
    write_v2(tmp_path / "a" / "b", limit="1000", used=900, cached=400)

    gauge = gauge_of(tmp_path, "0::/a/b\n", clock)

    assert gauge.is_limited
    assert gauge.share() == 0.5


def test_a_group_of_version_1_too(tmp_path: Path, clock: Clock) -> None:
    write_v1(tmp_path / "memory" / "a", limit="1000", used=900, cached=400)

    gauge = gauge_of(tmp_path, "5:cpu:/a\n4:memory:/a\n0::/\n", clock)

    assert gauge.share() == 0.5


def test_the_innermost_limit_counts(tmp_path: Path, clock: Clock) -> None:
    write_v2(tmp_path / "a" / "b", limit="max", used=900)
    write_v2(tmp_path / "a", limit="9000", used=900)
    write_v2(tmp_path, limit="90000", used=900)

    assert gauge_of(tmp_path, "0::/a/b\n", clock).share() == 0.1


def test_in_a_container_the_limit_is_at_the_root(tmp_path: Path, clock: Clock) -> None:
    write_v2(tmp_path, limit="1000", used=900)

    assert gauge_of(tmp_path, "0::/kubepods/pod1/not-seen-from-here\n", clock).share() == 0.9


def test_without_a_limit_memory_is_never_full(tmp_path: Path, clock: Clock) -> None:
    write_v1(tmp_path / "memory", limit=V1_NO_LIMIT, used=900)
    write_v2(tmp_path, limit="max", used=900)

    gauge = gauge_of(tmp_path, "4:memory:/\n0::/\n", clock)

    assert not gauge.is_limited
    assert gauge.share() == 0.0


def test_where_there_are_no_groups_memory_is_never_full(tmp_path: Path, clock: Clock) -> None:
    gauge = MemoryGauge(cgroups=tmp_path, proc=tmp_path / "nowhere", clock=clock)

    assert gauge.share() == 0.0


def test_it_looks_a_few_times_a_second_only(tmp_path: Path, clock: Clock) -> None:
    write_v2(tmp_path, limit="1000", used=100)
    gauge = gauge_of(tmp_path, "0::/\n", clock)
    seen = [gauge.share()]

    write_v2(tmp_path, limit="1000", used=200)
    seen.append(gauge.share())
    clock.now += LOOK_EVERY_S
    seen.append(gauge.share())

    assert seen == [0.1, 0.1, 0.2]


def test_a_group_that_cannot_be_read_any_more_is_as_full_as_it_was(
    tmp_path: Path, clock: Clock
) -> None:
    write_v2(tmp_path, limit="1000", used=100)
    gauge = gauge_of(tmp_path, "0::/\n", clock)
    before = gauge.share()

    (tmp_path / "memory.current").unlink()
    clock.now += LOOK_EVERY_S

    assert gauge.share() == before == 0.1


def test_a_limit_of_our_own_counts_this_process(clock: Clock) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE")

    gauge = MemoryGauge(max_bytes=2 * resident, clock=clock)

    assert gauge.is_limited
    assert gauge.share() == pytest.approx(0.5, rel=0.2)


def test_this_machine_can_be_read() -> None:
    assert 0 <= MemoryGauge().share() < 1


def test_when_little_is_left_what_was_freed_is_given_back_now_and_then(
    tmp_path: Path, clock: Clock
) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cgroup").write_text("0::/a\n")
    write_v2(tmp_path / "a", limit="1000", used=800)
    times: list[float] = []
    gauge = MemoryGauge(
        cgroups=tmp_path,
        proc=tmp_path / "proc",
        clock=clock,
        give_back=lambda: times.append(clock.now),
    )

    gauge.share()
    write_v2(tmp_path / "a", limit="1000", used=900)
    for _ in range(80):
        clock.now += LOOK_EVERY_S
        gauge.share()

    soon = pytest.approx(LOOK_EVERY_S, abs=2 * LOOK_EVERY_S)
    assert times == [soon, pytest.approx(GIVES_BACK_EVERY_S, abs=3 * LOOK_EVERY_S)]


HOLDS_NOTHING = """
import ctypes, os
from moderation.adapters.memory import give_back

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
resident = lambda: int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
blocks = [libc.malloc(10_000) for _ in range(10_000)]
for block in blocks:
    ctypes.memset(block, 1, 10_000)
for block in blocks[:-1]:  # the last one keeps the heap's end where it is
    libc.free(block)
before = resident()
give_back()
print(before - resident())
"""


def test_what_the_c_library_kept_of_freed_memory_goes_back_to_the_kernel() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HOLDS_NOTHING], capture_output=True, text=True, check=True
    )

    assert int(done.stdout) > 80e6
