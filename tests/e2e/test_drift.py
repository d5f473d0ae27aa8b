"""A server that is fed with other pictures than its reference was made of shows it."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from moderation.client import Item, ModerationClient
from tests.e2e.server import running_server, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PICTURES = [path.read_bytes() for path in sorted((ROOT / "samples").glob("*.jpg"))]
ANIMALS = """\
id: animals
title: Animals
phrases: [an animal]
contrast: [a vehicle, a plate of food]
thresholds: {review: 0.9}
"""
ROUNDS = 5
PSI, COMPARED, OUTDATED = (
    f"moderation_policy_{name}" for name in ("score_psi", "scores_compared", "reference_outdated")
)


def metrics(url: str) -> dict[str, float]:
    """The drift of the only policy, as far as there is any."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    families = text_string_to_metric_families(text)
    samples = (sample for family in families for sample in family.samples)
    return {one.name: one.value for one in samples if one.labels.get("policy") == "animals"}


def judge(address: str, pictures: Sequence[bytes]) -> None:
    with ModerationClient(address) as client:
        for _ in range(ROUNDS):
            items = [Item(picture, str(number)) for number, picture in enumerate(pictures)]
            assert all(one.decision.frames_judged for one in client.moderate_stream(items))


def test_shifted_pictures_raise_the_index_and_usual_ones_do_not(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "animals.yaml").write_text(ANIMALS)
    env = {
        "MODERATION_RECENT__ENABLED": "true",
        "MODERATION_RECENT__DIRECTORY": str(tmp_path / "recent"),
        "MODERATION_POLICIES__RECHECK_S": "1",
        "MODERATION_DRIFT__MIN_SCORES": "100",
    }

    with running_server(policies, env=env) as server:
        judge(server.address, PICTURES)
        assert PSI not in metrics(server.metrics_url)
        make_reference(policies, env)
        until(lambda: metrics(server.metrics_url).get(COMPARED) == 0)

        judge(server.address, PICTURES)
        usual = metrics(server.metrics_url)
        shifted_to = PICTURES[: len(PICTURES) // 4]
        for _ in range(8):
            judge(server.address, shifted_to)
        shifted = metrics(server.metrics_url)
        (policies / "animals.yaml").write_text(ANIMALS.replace("an animal", "a wild animal"))
        until(lambda: metrics(server.metrics_url)[OUTDATED] == 1)

        assert usual[COMPARED] == ROUNDS * len(PICTURES)
        assert usual[PSI] < 0.01
        assert shifted[PSI] > 0.25
        assert PSI not in metrics(server.metrics_url)


def make_reference(policies: Path, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "moderation", "drift", "reference"]
    told = subprocess.run(
        [*command, "--policies", str(policies)],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    ).stdout
    assert f"{ROUNDS * len(PICTURES)}" in told
