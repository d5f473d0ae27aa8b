"""What the kernel tells of processes."""

import os
from pathlib import Path

from moderation.adapters.images.process_use import PAGE_BYTES, TICKS_PER_S, process_use
from moderation.service.pools import ProcessUse


def test_several_are_added_up_whatever_they_are_called(tmp_path: Path) -> None:
    zeros = " ".join("0" * 10)
    for pid, name in ((7, "python"), (8, "a) b (c 1 2")):
        (tmp_path / str(pid)).mkdir()
        told = f"{pid} ({name}) S {zeros} 30 20 {' '.join('0' * 8)} 5 0 0"
        (tmp_path / str(pid) / "stat").write_text(told)

    used = process_use([7, 8, 9], proc=tmp_path)

    assert used == ProcessUse(100 / TICKS_PER_S, 10 * PAGE_BYTES)


def test_this_process_takes_something() -> None:
    used = process_use([os.getpid()])

    assert used.cpu_s > 0
    assert used.memory_bytes > 2**20
