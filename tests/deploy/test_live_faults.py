"""A server with everything wrong at once, under a real Prometheus: each alert fires, and resolves.

Together with the faults of test_live_monitoring.py that is every alert there is.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from moderation.adapters.policy_yaml import write_binding
from moderation.client import ClientError, ModerationClient
from tests.bundles import clip_bundle
from tests.certificates import Authority, Folder, put
from tests.cli.command import moderation
from tests.decoders import decoders_of, is_ready, is_running
from tests.deploy.load import CAT, another_copy
from tests.deploy.monitoring import (
    ALERTS,
    Prometheus,
    rules_of,
    running_prometheus,
    until,
)
from tests.deploy.test_live_monitoring import FAULTS, pytestmark  # noqa: F401 - the same marks
from tests.disks import small_disk
from tests.e2e.server import Server, running_server
from tests.picture_builders import slow_jpeg

POLICY = """\
id: cats
title: Cats
phrases: [a cat]
contrast: [a dog]
thresholds: {review: 0.5, block: 0.8}
"""
PROFILES = "profiles: {default: {review_budget: 0.001}}\n"
SMALL_DISK_BYTES = 8192
CALLERS = 3
OF_THIS_SERVER = {
    "ModerationCertificateExpires",
    "ModerationCertificateExpiresSoon",
    "ModerationCertificateReloadFails",
    "ModerationDecoderCrashes",
    "ModerationEncoderFails",
    "ModerationInternalErrors",
    "ModerationKeysReloadFails",
    "ModerationReviewBudgetExceeded",
    "ModerationThresholdsForAnotherEncoder",
    *(f"ModerationLatencyBudgetBurn{speed}" for speed in ("Fast", "Steady", "Slow", "Creeping")),
}
BESIDE_ANOTHER = {"ModerationEncodersDiffer"}
ON_A_FULL_DISK = {"ModerationDecisionLogFails"}


def policies_in(directory: Path) -> Path:
    directory.mkdir()
    (directory / "cats.yaml").write_text(POLICY)
    (directory / "profiles.yaml").write_text(PROFILES)
    return directory


@contextmanager
def uploading(client: ModerationClient) -> Iterator[None]:
    """Several callers that send one picture after the other, some of them slow to decode."""
    done = threading.Event()

    def upload(caller: int) -> None:
        number = caller
        while not done.is_set():
            number += CALLERS
            picture = slow_jpeg() + bytes(str(number), "ascii") if caller else CAT
            client.moderate(picture if caller else another_copy(CAT, number))
            with suppress(ClientError):
                client.list_policies()

    threads = [threading.Thread(target=upload, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@pytest.fixture
def healthy(tmp_path: Path) -> Iterator[Server]:
    with running_server(policies_in(tmp_path / "policies")) as server:
        yield server


@pytest.fixture
def prometheus(tmp_path: Path, healthy: Server) -> Iterator[Prometheus]:
    with running_prometheus(tmp_path, [healthy.metrics_url]) as running:
        yield running


async def test_a_server_with_everything_wrong_raises_every_alert_of_it(
    tmp_path: Path, healthy: Server, prometheus: Prometheus
) -> None:
    policies = policies_in(tmp_path / "its-policies")
    write_binding(policies, encoder_id="f" * 64, name="another")
    files, authority = Folder(tmp_path), Authority()
    files.hold(authority.issue(days=1))
    keys = tmp_path / "keys.yaml"
    made = await moderation(
        *("key", "create", "--keys", keys, "--tenant", "shop"),
        *("--role", "admin"),
    )
    assert made.exit_code == 0, made.err
    expected = OF_THIS_SERVER | BESIDE_ANOTHER
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(tmp_path / "disk", SMALL_DISK_BYTES))
        flags = ["--tls-certificate", files.certificate, "--tls-key", files.key, "--keys", keys]
        flags += ["--encoder", clip_bundle(tmp_path / "bundle")]
        if disk is not None:
            flags += ["--decision-log", disk / "log"]
            expected |= ON_A_FULL_DISK
        env = {"MODERATION_POLICIES__ENCODER_BINDING": "warn", "MODERATION_DECODE__THREADS": "2"}
        sick = stack.enter_context(
            running_server(policies, *map(str, flags), env=env, program="tests.deploy.sick")
        )
        client = stack.enter_context(
            ModerationClient(
                sick.address.replace("127.0.0.1", "localhost"),
                credentials=authority.trusted(),
                api_key=made.out.split()[-1],
                timeout_s=20,
            )
        )
        stack.enter_context(uploading(client))
        keys.write_text("tenants: [")
        put(files.certificate, b"no certificate")
        prometheus.watch(healthy.metrics_url, sick.metrics_url)
        seen: set[str] = set()

        def kill_a_busy_decoder() -> None:
            for decoder in decoders_of(sick.process.pid):
                if is_ready(decoder) and is_running(decoder):
                    with suppress(psutil.NoSuchProcess):
                        decoder.kill()

        def fire(wanted: set[str]) -> bool:
            if "ModerationDecoderCrashes" not in seen:
                kill_a_busy_decoder()
            seen.update(prometheus.firing())
            return wanted <= seen

        until(lambda: fire(BESIDE_ANOTHER), but=lambda: BESIDE_ANOTHER - seen)
        prometheus.watch(sick.metrics_url)
        until(lambda: fire(expected), but=lambda: expected - seen)

    prometheus.watch(healthy.metrics_url)
    until(lambda: not expected & prometheus.firing(), but=prometheus.firing)


def test_every_alert_is_planted_somewhere() -> None:
    planted = set().union(*FAULTS.values(), OF_THIS_SERVER, BESIDE_ANOTHER, ON_A_FULL_DISK)

    assert planted == {rule["alert"] for rule in rules_of(ALERTS)}
