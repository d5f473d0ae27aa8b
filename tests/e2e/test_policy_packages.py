"""A real server that goes by signed packages, from a real HTTPS server or a mounted folder."""

import asyncio
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from moderation.client import Action, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.cli.command import moderation
from tests.e2e.server import STATE, Server, running_server, until
from tests.e2e.test_serve import CAT, NO_CATS
from tests.policy_packages import Mirror, Publisher, running_mirror

pytestmark = pytest.mark.e2e

ARCHIVE, SIGNATURE = "/policies.tar.gz", "/policies.tar.gz.sig"
ALLOWED = NO_CATS.replace("a cat", "a submarine")


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    made = Publisher(tmp_path / "published")
    made.write(no_cats=ALLOWED)
    made.publish()
    return made


@pytest.fixture
def mirror(publisher: Publisher, tmp_path: Path) -> Iterator[Mirror]:
    with running_mirror(Mirror(publisher.home), tmp_path / "certificates") as running:
        yield running


def flags(publisher: Publisher, source: str) -> tuple[str, ...]:
    return "--package", source, "--package-keys", str(publisher.public())


def settings(mirror: Mirror) -> dict[str, str]:
    return {
        "MODERATION_PACKAGE__POLL_S": "0.1",
        "MODERATION_PACKAGE__CA_FILE": str(mirror.authority),
    }


def action(client: ModerationClient) -> Action:
    return Action(client.moderate(CAT).action)


def reloads(server: Server, result: str) -> float:
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = (sample for family in families for sample in family.samples)
    found = (one for one in samples if one.name == "moderation_policy_reloads_total")
    return sum(one.value for one in found if one.labels["result"] == result)


def test_packages_from_a_url_are_polled_verified_and_kept(
    publisher: Publisher, mirror: Mirror, tmp_path: Path
) -> None:
    state, source = tmp_path / "state", flags(publisher, mirror.url)
    with (
        running_server(None, *source, env=settings(mirror), state=state) as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        assert server.first("listening")["policies"] == mirror.url
        assert client.status().policy_set.package == mirror.url
        assert action(client) is Action.ALLOW
        assert server.first("policy_package_taken")["serial"] == 1
        until(lambda: mirror.count(SIGNATURE, 304) >= 2)
        assert mirror.count(ARCHIVE, 200) == 1

        # An edit goes live without anybody telling the server.
        publisher.write(no_cats=NO_CATS)
        publisher.publish()
        until(lambda: action(client) is Action.BLOCK)
        assert mirror.count(ARCHIVE, 200) == 2

        # What was altered on the way changes nothing, and is told everywhere.
        mirror.instead[ARCHIVE] = 200, {}, publisher.archive.read_bytes()[:-1] + b"x"
        publisher.write(no_cats=ALLOWED)
        publisher.publish()
        server.wait_for("policies_rejected")
        status = client.status().policy_set
        assert "is not what was signed" in status.last_reload_errors[0]
        assert status.stale
        assert reloads(server, "rejected") >= 1
        assert action(client) is Action.BLOCK

        # A server in the middle that has an older package cannot put it back.
        mirror.instead.clear()
        until(lambda: action(client) is Action.ALLOW)
        publisher.write(no_cats=NO_CATS)
        publisher.publish(serial=1)
        server.wait_for("policies_rejected")
        assert "is older than" in client.status().policy_set.last_reload_errors[0]
        assert action(client) is Action.ALLOW

        assert server.terminate() == 0

    mirror.instead[SIGNATURE] = 503, {}, b""
    with (
        running_server(None, *source, env=settings(mirror), state=state) as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        status = client.status().policy_set
        assert status.origin == pb.POLICY_SET_ORIGIN_KEPT
        assert "answers with status 503" in status.last_reload_errors[0]
        assert action(client) is Action.ALLOW

        mirror.instead.clear()
        publisher.publish(serial=9)
        until(lambda: action(client) is Action.BLOCK)
        assert not client.status().policy_set.stale


def test_a_package_in_a_folder_is_followed_and_its_key_rotated(
    publisher: Publisher, tmp_path: Path
) -> None:
    next_key = publisher.make_key("next")
    source = flags(publisher, str(publisher.home))
    with (
        running_server(None, *source, state=tmp_path / "state") as server,
        ModerationClient(server.address, timeout_s=30) as client,
    ):
        assert action(client) is Action.ALLOW

        publisher.write(no_cats=NO_CATS)
        publisher.publish(keys=("next",))
        until(lambda: bool(client.status().policy_set.last_reload_errors))
        assert f"is signed by key {next_key}" in client.status().policy_set.last_reload_errors[0]
        assert action(client) is Action.ALLOW

        with publisher.public().open("ab") as trusted:
            trusted.write(publisher.public("next").read_bytes())
        publisher.publish(keys=("next",))
        until(lambda: action(client) is Action.BLOCK)
        assert server.wait_for("policy_package_taken")["key"] == next_key

        command = moderation(
            "policy", "rollback", *source[:2], env={STATE: str(tmp_path / "state")}
        )
        assert asyncio.run(command).exit_code == 0
        until(lambda: action(client) is Action.ALLOW)
        assert client.status().policy_set.origin == pb.POLICY_SET_ORIGIN_ROLLBACK


def test_a_package_reaches_every_worker(
    publisher: Publisher, mirror: Mirror, tmp_path: Path
) -> None:
    source = flags(publisher, mirror.url)
    with running_server(
        None, "--workers", "2", *source, env=settings(mirror), state=tmp_path / "state"
    ) as server:

        def judged_by_each() -> set[tuple[int, Action]]:
            answers = set()
            for _ in range(16):  # the kernel deals out connections
                with ModerationClient(server.address, timeout_s=30) as client:
                    answers.add((client.status().worker.index, action(client)))
            return answers

        until(lambda: judged_by_each() == {(0, Action.ALLOW), (1, Action.ALLOW)})

        publisher.write(no_cats=NO_CATS)
        publisher.publish()
        until(lambda: judged_by_each() == {(0, Action.BLOCK), (1, Action.BLOCK)})

        # Whoever sits in between cannot make one of them go back.
        publisher.write(no_cats=ALLOWED)
        publisher.publish(serial=1)
        server.wait_for("policies_rejected")
        assert judged_by_each() == {(0, Action.BLOCK), (1, Action.BLOCK)}
