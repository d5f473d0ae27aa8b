"""A real server that is restarted, rolled back, and left without its policy files."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2

from moderation.client import Action, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.cli.command import Ended, moderation
from tests.e2e.server import STATE, Server, health_of, running_server, until
from tests.e2e.test_serve import CAT, NO_CATS, PATIENCE_S

pytestmark = pytest.mark.e2e

NO_DOGS = NO_CATS.replace("no-cats", "no-dogs").replace("a cat", "a dog")


@pytest.fixture
def policies(tmp_path: Path) -> Path:
    directory = tmp_path / "policies"
    directory.mkdir()
    (directory / "no-cats.yaml").write_text(NO_CATS)
    return directory


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def started(policies: Path, state: Path) -> Iterator[Server]:
    with running_server(policies, state=state) as server:
        yield server


def policy(*arguments: str, policies: Path, state: Path) -> Ended:
    command = moderation("policy", *arguments, "--policies", policies, env={STATE: str(state)})
    return asyncio.run(command)


def activations(address: str) -> list[pb.PolicySetActivation]:
    with grpc.insecure_channel(address) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        answer = stub.ListPolicySets(pb.ListPolicySetsRequest(), timeout=PATIENCE_S)
        return list(answer.activations)


@pytest.mark.case(83)
def test_a_restart_without_policy_files_serves_the_last_set_and_says_so(
    policies: Path, state: Path
) -> None:
    with running_server(policies, state=state) as server:
        with ModerationClient(server.address) as client:
            before = client.moderate(CAT)
        assert server.terminate() == 0
    shutil.rmtree(policies)

    with running_server(policies, state=state) as server:
        with ModerationClient(server.address) as client:
            after = client.moderate(CAT)
            status = client.status().policy_set
        loaded = server.first("policies_loaded")

    assert Action(before.action) is Action(after.action) is Action.BLOCK
    assert after.policy_set_version == before.policy_set_version
    assert status.origin == pb.POLICY_SET_ORIGIN_KEPT
    assert status.stale
    assert "there is no such directory" in status.last_reload_errors[0]
    assert (loaded["origin"], loaded["level"]) == ("kept", "warning")


def test_a_rollback_takes_effect_at_once_and_ends_with_the_next_edit(
    policies: Path, state: Path, started: Server
) -> None:
    with ModerationClient(started.address) as client:
        cats = client.moderate(CAT).policy_set_version
        (policies / "no-cats.yaml").rename(policies / "no-cats.txt")
        (policies / "no-dogs.yaml").write_text(NO_DOGS)
        until(lambda: client.moderate(CAT).deciding_policy_id == "")
        dogs = client.moderate(CAT).policy_set_version

        ended = policy("rollback", cats[:8], policies=policies, state=state)
        until(lambda: client.moderate(CAT).policy_set_version == cats)
        status = client.status().policy_set
        history = policy("history", policies=policies, state=state)
        (policies / "no-dogs.yaml").write_text(NO_DOGS.replace("0.45", "0.46"))
        until(lambda: client.moderate(CAT).policy_set_version not in (cats, dogs))

    assert ended.exit_code == 0, ended.err
    assert f"{cats[:12]} is put back in place of {dogs[:12]}, active since" in ended.out
    assert status.origin == pb.POLICY_SET_ORIGIN_ROLLBACK
    assert status.instead_of == dogs
    assert cats[:12] in history.out
    assert "rollback" in history.out
    origins = [one.origin for one in activations(started.address)]
    assert origins[:2] == [pb.POLICY_SET_ORIGIN_SOURCE, pb.POLICY_SET_ORIGIN_ROLLBACK]


def test_a_rollback_counts_after_the_files_were_mended_by_reverting_them(
    policies: Path, state: Path, started: Server
) -> None:
    file = policies / "no-cats.yaml"
    dogs, cups = (NO_CATS.replace("a cat", one) for one in ("a dog", "a cup"))
    with ModerationClient(started.address) as client:
        versions = [client.status().policy_set.version]
        for text in (dogs, cups):
            file.write_text(text)
            until(lambda: client.status().policy_set.version not in versions)
            versions.append(client.status().policy_set.version)
        policy("rollback", policies=policies, state=state)
        until(lambda: client.status().policy_set.version == versions[1])
        file.write_text(dogs)
        until(lambda: client.status().policy_set.origin == pb.POLICY_SET_ORIGIN_SOURCE)

        ended = policy("rollback", versions[0], policies=policies, state=state)

        assert f"is put back in place of {versions[1][:12]}" in ended.out
        until(lambda: client.status().policy_set.version == versions[0])
        assert client.status().policy_set.instead_of == versions[1]


def test_policies_that_are_not_confirmed_for_too_long_turn_readiness_off(
    policies: Path, state: Path
) -> None:
    settings = {
        "MODERATION_POLICIES__MAX_AGE_S": "1",
        "MODERATION_POLICIES__RECHECK_S": "0.3",
    }
    with running_server(policies, state=state, env=settings) as server:
        (policies / "no-cats.yaml").write_text("id: [")
        until(lambda: health_of(server.address) == health_pb2.HealthCheckResponse.NOT_SERVING)
        (policies / "no-cats.yaml").write_text(NO_CATS)
        until(lambda: health_of(server.address) == health_pb2.HealthCheckResponse.SERVING)
