"""Server and generator get cores of their own, and processor time is told as it is spent."""

import os
import subprocess
import sys

import pytest

from benchmarks.cores import on_cores, spent_by, split_cores


def test_no_core_is_of_both_and_none_is_left_over() -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core cannot be split")

    split = split_cores(1)

    assert len(split.generator) == 1
    assert split.server | split.generator == cores
    assert not split.server & split.generator


@pytest.mark.parametrize("for_generator", [0, len(os.sched_getaffinity(0))])
def test_nobody_is_left_without(for_generator: int) -> None:
    with pytest.raises(SystemExit, match="two cores at least"):
        split_cores(for_generator)


def test_what_is_started_within_stays_on_its_cores() -> None:
    before = os.sched_getaffinity(0)
    tell = [sys.executable, "-c", "import os; print(*os.sched_getaffinity(0))"]

    with on_cores(frozenset({min(before)})):
        told = subprocess.run(tell, capture_output=True, text=True, check=True).stdout

    assert told.split() == [str(min(before))]
    assert os.sched_getaffinity(0) == before


def test_processor_time_of_a_process_is_that_of_its_children_too() -> None:
    work = "import os\nwhile sum(os.times()[:2]) < 0.3: pass\nprint(flush=True); input()"
    before = spent_by(os.getpid())
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", work], stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        child.stdout.readline()
        spent = spent_by(os.getpid()).since(before)
        child.kill()

    assert spent.all_s >= 0.28
    assert spent.main_s < spent.all_s
