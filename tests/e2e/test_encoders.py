"""One server binary, whatever the encoder: chosen by a flag, shadowed, bound or refused."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import pytest

from moderation.adapters.encoder_pairs import CURRENT, newest_pairing, read_pairs
from moderation.adapters.encoders.bundle_store import add_bundle
from moderation.adapters.encoders.manifest import Manifest
from moderation.adapters.policy_yaml import write_binding
from moderation.client import Item, ModerationClient
from moderation.settings import variable_of
from tests.bundles import FAMILIES, clip_bundle, siglip_bundle
from tests.cli.command import moderation
from tests.e2e.server import Server, running_server, until
from tests.picture_builders import blotches

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
PATIENCE_S = 20.0
REQUESTS = 1000
MB = 2**20

POLICY = """\
id: {id}
title: A policy
phrases: ["a {id}"]
contrast: ["something else"]
thresholds: {{review: 0.5, block: 0.8}}
"""


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    for name in ("cat", "bottle"):
        (directory / f"{name}.yaml").write_text(POLICY.format(id=name))
    return directory


def metrics_of(server: Server) -> str:
    with urllib.request.urlopen(server.metrics_url, timeout=PATIENCE_S) as answer:
        text: str = answer.read().decode()
    return text


async def status_of(server: Server) -> dict[str, Any]:
    ended = await moderation("status", "--address", server.address, "--json")
    found: dict[str, Any] = json.loads(ended.out)
    return found


def judged(server: Server, *pictures: bytes) -> set[str]:
    """The encoder ids that the answers carry."""
    with ModerationClient(server.address, timeout_s=30) as client:
        answers = [
            client.moderate(picture, content_id=f"picture-{number}")
            for number, picture in enumerate(pictures)
        ]
    return {answer.encoder_id for answer in answers}


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_bundle_of_every_family_is_served_by_its_path(
    family: str, policies: Path, tmp_path: Path
) -> None:
    bundle = FAMILIES[family](tmp_path / "bundle")

    with running_server(policies, "--encoder", str(bundle)) as server:
        encoder_ids = judged(server, (SAMPLES / "cat-portrait.jpg").read_bytes(), blotches(1))
        status = await status_of(server)

    assert encoder_ids == {Manifest.load(bundle).encoder_id}
    assert status["encoder"]["family"] == family
    assert status["encoder"]["device"] == "CPUExecutionProvider"


def test_the_starter_is_served_by_its_name(policies: Path) -> None:
    with running_server(policies, "--encoder", "starter") as server:
        assert judged(server, (SAMPLES / "cat-portrait.jpg").read_bytes())
        assert 'name="starter"' in metrics_of(server)


def test_a_stored_bundle_is_served_by_its_name(policies: Path, tmp_path: Path) -> None:
    add_bundle(clip_bundle(tmp_path / "made"), tmp_path / "store", name="mine-int8")
    env = {"MODERATION_ENCODER__STORE": str(tmp_path / "store")}

    with running_server(policies, "--encoder", "mine", env=env) as server:
        assert server.first("listening")["encoder"] == "tiny-clip"


@pytest.mark.parametrize("device", ["cuda", "tensorrt:0", "cuda:0,cuda:1"])
@pytest.mark.case(63)
async def test_a_demanded_card_that_is_not_there_ends_the_start(
    device: str, policies: Path, tmp_path: Path
) -> None:
    bundle = clip_bundle(tmp_path / "bundle")
    flags: list[str | Path] = ["--policies", policies, "--encoder", bundle, "--device", device]

    ended = await moderation("serve", "--port", "0", "--metrics-port", "0", *flags)

    assert ended.exit_code == 78
    assert "would run on CPUExecutionProvider" in ended.err


async def test_a_device_that_is_none_is_a_wrong_setting(policies: Path) -> None:
    ended = await moderation("serve", "--policies", policies, "--device", "tpu")

    assert ended.exit_code == 78
    assert "encoder.device" in ended.err


@pytest.mark.parametrize("setting", ["recent.directory", "shadow_encoder.directory"])
async def test_a_directory_that_cannot_be_written_ends_the_start_with_its_setting(
    setting: str, policies: Path, tmp_path: Path
) -> None:
    bundle = clip_bundle(tmp_path / "bundle")
    (tmp_path / "file").touch()
    env = {variable_of(setting): str(tmp_path / "file" / "below")}
    flags: list[str | Path] = ["--policies", policies, "--encoder", bundle]
    if setting == "recent.directory":
        env[variable_of("recent.enabled")] = "true"
    else:
        flags += ["--shadow-encoder", siglip_bundle(tmp_path / "second")]

    ended = await moderation("serve", "--port", "0", "--metrics-port", "0", *flags, env=env)

    assert ended.exit_code == 69
    assert f"cannot start: {setting} " in ended.err
    assert "Not a directory" in ended.err


async def test_a_second_encoder_leaves_pairs_that_compare(policies: Path, tmp_path: Path) -> None:
    old, new, pairs = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new"), tmp_path / "p"
    env = {"MODERATION_SHADOW_ENCODER__DIRECTORY": str(pairs)}
    flags = ["--encoder", str(old), "--shadow-encoder", str(new), "--shadow-share", "1"]
    pictures = [path.read_bytes() for path in sorted(SAMPLES.glob("*.jpg"))]

    with running_server(policies, *flags, env=env) as server:
        encoder_ids = judged(server, *pictures)
        counted = "moderation_shadow_encodings_total"
        until(lambda: _sum_of(counted, metrics_of(server)) == len(pictures))
        named = metrics_of(server)
        told = server.wait_for_seen("shadow_encoder")
    report = await moderation("encoder", "compare", pairs, "--policies", policies, "--json")

    assert encoder_ids == {Manifest.load(old).encoder_id}
    assert "moderation_shadow_encoder_info{" in named
    assert told["share"] == 1.0
    recorded = newest_pairing(read_pairs(pairs))
    assert {one.pairing.new_encoder for one in recorded} == {Manifest.load(new).encoder_id}
    assert {one["policy"] for one in json.loads(report.out)["policies"]} == {"cat", "bottle"}
    text = (pairs / CURRENT).read_text()
    assert "picture-" not in text


def _sum_of(metric: str, text: str) -> float:
    lines = (line for line in text.splitlines() if line.startswith(metric + "{"))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


async def test_thresholds_of_another_encoder_are_not_served(policies: Path, tmp_path: Path) -> None:
    bundle = clip_bundle(tmp_path / "bundle")
    write_binding(policies, encoder_id="a" * 64, name="another")

    with running_server(policies, "--encoder", str(bundle), ready=False) as server:
        refused = server.wait_for_seen("policies_rejected")
        bound = await moderation("encoder", "bind", "--encoder", bundle, "--policies", policies)
        server.wait_for("serving")

    assert "these thresholds were set for encoder another" in refused["problem"]
    assert bound.exit_code == 0


def test_thresholds_of_another_encoder_are_marked_where_that_is_set(
    policies: Path, tmp_path: Path
) -> None:
    bundle = clip_bundle(tmp_path / "bundle")
    write_binding(policies, encoder_id="a" * 64, name="another")
    env = {"MODERATION_POLICIES__ENCODER_BINDING": "warn"}

    with running_server(policies, "--encoder", str(bundle), env=env) as server:
        told = server.wait_for_seen("policies_for_another_encoder")
        assert "moderation_policies_for_another_encoder 1.0" in metrics_of(server)

    assert told["bound_to"] == "another"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_memory_stays_flat_with_two_encoders(policies: Path, tmp_path: Path) -> None:
    old, new = clip_bundle(tmp_path / "old"), siglip_bundle(tmp_path / "new")
    env = {"MODERATION_SHADOW_ENCODER__DIRECTORY": str(tmp_path / "pairs")}
    flags = ["--encoder", str(old), "--shadow-encoder", str(new), "--shadow-share", "1"]
    pictures = [blotches(number) for number in range(50)]

    with (
        running_server(policies, *flags, env=env) as server,
        ModerationClient(server.address, timeout_s=60) as client,
    ):
        memory = psutil.Process(server.process.pid).memory_info
        send(client, pictures, REQUESTS)
        before = memory().rss
        send(client, pictures, REQUESTS)
        grown = memory().rss - before

    assert grown < 16 * MB


def send(client: ModerationClient, pictures: list[bytes], count: int) -> None:
    items = [Item(pictures[n % len(pictures)], str(n)) for n in range(count)]
    for start in range(0, count, 50):
        client.moderate_batch(items[start : start + 50])
