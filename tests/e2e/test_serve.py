"""The server as an operator runs it: a process, sockets, files, signals."""

import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from grpc_health.v1 import health_pb2

from moderation.client import Action, Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.e2e.server import Server, health_of, running_server, until
from tests.pictures import UNJUDGEABLE

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
CAT = (SAMPLES / "cat-portrait.jpg").read_bytes()
WINE = (SAMPLES / "wine-bottle-and-glass.jpg").read_bytes()
PATIENCE_S = 20.0

NO_CATS = """\
id: no-cats
title: Cats
phrases: [a cat]
thresholds: {review: 0.4, block: 0.45}
"""


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped policies, to be edited."""
    return Path(shutil.copytree(ROOT / "policies", tmp_path_factory.mktemp("e2e") / "policies"))


@pytest.fixture(scope="module")
def server(policies: Path) -> Iterator[Server]:
    with running_server(policies) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[ModerationClient]:
    with ModerationClient(server.address, timeout_s=30) as connected:
        yield connected


def test_a_real_picture_gets_a_real_decision(client: ModerationClient) -> None:
    wine = client.moderate(WINE, content_id="wine")
    cat = client.moderate(CAT, content_id="cat", include_all_verdicts=True)

    assert Action(wine.action) >= Action.REVIEW
    assert wine.deciding_policy_id == "alcohol"
    assert Action(cat.action) is Action.ALLOW
    assert len(cat.verdicts) >= 10
    assert wine.encoder_id == cat.encoder_id


def test_an_edit_changes_decisions_and_a_broken_one_changes_nothing(
    client: ModerationClient, policies: Path
) -> None:
    before = client.moderate(CAT)

    (policies / "no-cats.yaml").write_text(NO_CATS)
    until(lambda: client.moderate(CAT).policy_set_version != before.policy_set_version)
    edited = client.moderate(CAT)
    (policies / "no-cats.yaml").write_text(NO_CATS.replace("0.4,", "0.9,"))
    until(lambda: bool(client.status().policy_set.last_reload_errors))
    broken = client.moderate(CAT)
    (error,) = client.status().policy_set.last_reload_errors
    (policies / "no-cats.yaml").unlink()
    until(lambda: client.moderate(CAT).policy_set_version == before.policy_set_version)

    assert Action(before.action) is Action.ALLOW
    assert Action(edited.action) is Action.BLOCK
    assert edited.deciding_policy_id == "no-cats"
    assert broken.policy_set_version == edited.policy_set_version
    assert error.startswith("policies/no-cats.yaml:4:")
    assert "review" in error
    assert not client.status().policy_set.last_reload_errors


def test_a_batch_of_64_with_5_broken_items_gives_59_decisions_and_5_reasons(
    client: ModerationClient,
) -> None:
    chosen = ["text", "truncated jpeg", "truncated png", "png bomb", "tiff"]
    broken = {f"broken-{name}": UNJUDGEABLE[name] for name in chosen}
    items = [Item(WINE if number % 2 else CAT, f"good-{number}") for number in range(59)]
    for position, (name, (build, _)) in enumerate(broken.items()):
        items.insert(position * 13, Item(build(), name))

    results = client.moderate_batch(items)

    assert [result.content_id for result in results] == [item.content_id for item in items]
    by_id = {result.content_id: result.decision for result in results}
    failed = {name for name, decision in by_id.items() if decision.HasField("failure")}
    assert failed == broken.keys()
    for name, (_, code) in broken.items():
        assert pb.FailureCode.Name(by_id[name].failure.code) == f"FAILURE_CODE_{code.name}"
        assert Action(by_id[name].action) is Action.REVIEW
    assert len({by_id[name].failure.message for name in broken}) == len(broken)


def test_metrics_tell_what_happened(client: ModerationClient, server: Server) -> None:
    client.moderate(WINE)

    with urllib.request.urlopen(server.metrics_url, timeout=PATIENCE_S) as answer:
        text = answer.read().decode()

    assert (
        'moderation_rpcs_total{code="OK",method="/moderation.v1.ModerationService/Moderate"}'
        in (text)
    )
    assert 'moderation_verdicts_total{action="block",mode="enforce",policy="alcohol"}' in text
    assert "moderation_ready 1.0" in text
    assert "moderation_decoders 2.0" in text
    assert "moderation_decoder_resident_memory_bytes 0.0" not in text
    assert "moderation_in_flight_bytes 0.0" in text


def test_the_first_bug_of_a_method_is_an_increase(server: Server) -> None:
    with urllib.request.urlopen(server.metrics_url, timeout=PATIENCE_S) as answer:
        text = answer.read().decode()

    for method in ("moderation.v1.ModerationService/GetStatus", "grpc.health.v1.Health/Watch"):
        for code in ("INTERNAL", "UNKNOWN"):
            assert f'moderation_rpcs_total{{code="{code}",method="/{method}"}} 0.0' in text


def test_the_starter_says_plainly_that_it_is_one(client: ModerationClient, server: Server) -> None:
    server.wait_for_seen("encoder_notice")

    notice = client.status().encoder.notice

    assert "starter" in notice.lower()
    assert "--encoder" in notice


@pytest.mark.case(82)
def test_without_valid_policies_nothing_is_served_until_they_are_mended(tmp_path: Path) -> None:
    (tmp_path / "no-cats.yaml").write_text("id: no-cats\nphrases: [\n")

    with running_server(tmp_path, ready=False) as server:
        server.wait_for_seen("policies_rejected")
        unready = health_of(server.address)
        with ModerationClient(server.address, timeout_s=5) as client:
            posture = client.moderate(CAT)
            (tmp_path / "no-cats.yaml").write_text(NO_CATS)
            server.wait_for("serving")
            ready = health_of(server.address)
            decision = client.moderate(CAT)

    assert unready == health_pb2.HealthCheckResponse.NOT_SERVING
    assert posture.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
    assert Action(posture.action) is Action.REVIEW
    assert ready == health_pb2.HealthCheckResponse.SERVING
    assert Action(decision.action) is Action.BLOCK


@pytest.mark.case(56)
def test_a_stop_finishes_what_is_under_way_and_exits_cleanly(policies: Path) -> None:
    with (
        running_server(policies) as server,
        ModerationClient(server.address) as client,
        ThreadPoolExecutor(16) as pool,
    ):
        first = client.moderate(CAT)
        under_way = [pool.submit(client.moderate, CAT) for _ in range(32)]
        exit_code = server.terminate()
        decisions = [one.result() for one in under_way]

    assert exit_code == 0
    assert first.decision_id
    assert all(Action(decision.action) in (Action.ALLOW, Action.REVIEW) for decision in decisions)
    # Whatever the stop turned away has the client's posture; nothing is without an answer.
    assert all(
        decision.decision_id or decision.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE
        for decision in decisions
    )


@pytest.mark.case(46)
def test_a_taken_port_ends_the_start_with_a_message(server: Server, policies: Path) -> None:
    port = server.address.rsplit(":", 1)[1]
    command = [sys.executable, "-m", "moderation", "serve", "--policies", str(policies)]

    second = subprocess.run(
        [*command, "--port", port, "--metrics-port", "0"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert second.returncode == 69
    assert f"cannot listen on 127.0.0.1:{port}" in second.stderr
    assert "Traceback" not in second.stderr
