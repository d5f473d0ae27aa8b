"""The script as it is run, on the CPU and a miniature: its numbers mean nothing here."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from benchmarks.vit_graphs import TOWERS, write_tower
from tests.bundles import clip_bundle

ROOT = Path(__file__).parents[2]


async def checked(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "benchmarks.gpu_check", *arguments, "--seconds", "0.02"]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, cwd=ROOT)
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_the_report_holds_limits_throughput_and_parity(tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "bundle")

    code, out, err = await checked(
        "--device", "cpu", "--models", "tiny", "--batches", "1,2", "--bundle", str(bundle)
    )

    assert code == 0, err
    report: dict[str, Any] = json.loads(out)
    assert report["limits"]["matrix_products_tflops"].keys() == {"fp32", "fp16"}
    assert report["limits"]["decode_images_s"].keys() == {"VGA", "1080p", "12 MP"}
    names = [(one["name"], one["precision"]) for one in report["graphs"]]
    assert ("tiny", "fp16") in names
    assert ("tiny-fused", "fp32") in names
    assert ("tiny-clip", "fp32") in names
    for graph in report["graphs"]:
        assert graph["cosine_to_cpu_min"] == pytest.approx(1.0)
        assert [one["batch"] for one in graph["batches"]] == [1, 2]
        assert all(one["images_s_on_device"] > 0 for one in graph["batches"])


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(),
    reason="this onnxruntime can use a GPU",
)
async def test_without_a_card_nothing_is_measured_in_its_name() -> None:
    code, out, err = await checked("--models", "tiny")

    assert code != 0
    assert out == ""
    assert "CUDAExecutionProvider was asked for" in err


def test_a_fused_tower_answers_as_the_plain_one(tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    answers = []
    for fused in (False, True):
        path = tmp_path / f"{fused}.onnx"
        output = write_tower(TOWERS["tiny"], path, dtype=np.float32, fused=fused)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answers.append(session.run([output], {"pixels": pixels})[0])

    assert np.allclose(answers[0], answers[1], atol=1e-5)
    assert np.allclose(np.linalg.norm(answers[0], axis=1), 1.0, atol=1e-5)


def test_a_tower_of_true_size_costs_what_is_known_of_it() -> None:
    assert TOWERS["vit-b32"].flops == pytest.approx(8.82e9, rel=0.02)
    assert TOWERS["vit-l14"].flops == pytest.approx(162e9, rel=0.03)
