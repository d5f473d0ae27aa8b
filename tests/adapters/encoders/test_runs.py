"""Runs under way are seen from other threads, and can be broken off."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from moderation.adapters.encoders.devices import Device, Tuning
from moderation.adapters.encoders.onnx_session import OnnxSession
from moderation.adapters.encoders.runs import Runs
from tests.adapters.encoders.bundles import SIZE_PX, write_endless_image_graph

WHITE = np.full((1, SIZE_PX, SIZE_PX, 3), 255, dtype=np.uint8)


def test_the_oldest_run_counts_and_only_old_ones_are_broken_off() -> None:
    now = 0.0
    runs: Runs[SimpleNamespace] = Runs(lambda: SimpleNamespace(terminate=False), lambda: now)

    assert runs.longest_s() == 0.0
    with runs.one() as old:
        now = 5.0
        with runs.one() as young:
            now = 8.0
            assert runs.longest_s() == 8.0
            runs.break_off(4.0)
    assert runs.longest_s() == 0.0
    assert (old.terminate, young.terminate) == (True, False)


def test_a_real_graph_that_never_ends_is_ended(tmp_path: Path) -> None:
    write_endless_image_graph(tmp_path / "image.onnx")
    session = OnnxSession(tmp_path / "image.onnx", device=Device("cpu"), tuning=Tuning(threads=1))

    with ThreadPoolExecutor(1) as pool:
        run = pool.submit(session.run, "embedding", {"pixels": WHITE})
        while session.longest_run_s() < 0.1:
            pass
        session.break_off(0.1)
        with pytest.raises(Exception, match="terminate flag"):
            run.result(timeout=10)

    assert session.longest_run_s() == 0.0
    assert session.run("embedding", {"pixels": 0 * WHITE + 100}).shape == (1, 3)
