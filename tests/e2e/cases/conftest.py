"""One server for the cases that do not end it, with policies that may be broken and mended."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil
import pytest

from moderation.client import ModerationClient
from tests.e2e.server import RETURN_WHAT_IS_FREED, Server, running_server, until

NOISE_DESCRIPTORS = 10
"""Of gRPC's pollers, which are made when they are first needed."""
NOISE_BYTES = 10 * 2**20
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="package")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped policies, to be edited."""
    return Path(shutil.copytree(ROOT / "policies", tmp_path_factory.mktemp("cases") / "policies"))


@pytest.fixture(scope="package")
def server(policies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {
        **RETURN_WHAT_IS_FREED,
        "MODERATION_DECISION_LOG__DIRECTORY": str(tmp_path_factory.mktemp("decisions")),
        "MODERATION_SERVER__REFLECTION": "off",
        "MODERATION_LIMITS__MAX_REQUEST_S": "8",
        "MODERATION_POLICIES__RECHECK_S": "1",
    }
    with running_server(policies, env=env) as running:
        with ModerationClient(running.address, timeout_s=30) as first:
            first.moderate((ROOT / "samples" / "cat-portrait.jpg").read_bytes())
        yield running


@pytest.fixture(autouse=True)
def balance(request: pytest.FixtureRequest) -> Iterator[None]:
    """What holds over every case: each answer is recorded and counted, and nothing is kept."""
    if "server" not in request.fixturenames:
        yield
        return
    server: Server = request.getfixturevalue("server")
    before = Account.of(server)
    yield
    until(lambda: Account.of(server).has_given_back_since(before))
    after = Account.of(server)
    answers = after.answers - before.answers
    assert after.records - before.records == answers
    assert after.unjudgeable - before.unjudgeable <= answers


@dataclass(frozen=True, slots=True)
class Account:
    """What a server has answered since its start, and what it holds."""

    answers: float
    unjudgeable: float
    """Of the answers, by all reasons together."""
    records: float
    descriptors: int
    rss_bytes: int

    @classmethod
    def of(cls, server: Server) -> Self:
        """As it is now."""
        metrics, process = server.metrics(), psutil.Process(server.process.pid)
        return cls(
            total(metrics, "moderation_decisions_total"),
            total(metrics, "moderation_unjudgeable_total"),
            total(metrics, "moderation_decision_log_records_total"),
            process.num_fds(),
            process.memory_info().rss,
        )

    def has_given_back_since(self, before: Self) -> bool:
        """Whether it holds no more than it did, but for noise."""
        return (
            self.descriptors <= before.descriptors + NOISE_DESCRIPTORS
            and self.rss_bytes <= before.rss_bytes + NOISE_BYTES
        )


def total(metrics: Mapping[str, float], name: str) -> float:
    """Over all labels."""
    return sum(value for series, value in metrics.items() if series.partition("{")[0] == name)


@pytest.fixture(scope="package")
def client(server: Server) -> Iterator[ModerationClient]:
    with ModerationClient(server.address, timeout_s=30) as connected:
        yield connected
