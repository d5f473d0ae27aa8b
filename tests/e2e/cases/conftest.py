"""One server for the cases that do not end it, with policies that may be broken and mended."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from moderation.client import ModerationClient
from tests.e2e.server import Server, running_server

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="package")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped policies, to be edited."""
    return Path(shutil.copytree(ROOT / "policies", tmp_path_factory.mktemp("cases") / "policies"))


@pytest.fixture(scope="package")
def server(policies: Path) -> Iterator[Server]:
    env = {
        "MODERATION_SERVER__REFLECTION": "off",
        "MODERATION_LIMITS__MAX_REQUEST_S": "8",
        "MODERATION_POLICIES__RECHECK_S": "1",
    }
    with running_server(policies, env=env) as running:
        yield running


@pytest.fixture(scope="package")
def client(server: Server) -> Iterator[ModerationClient]:
    with ModerationClient(server.address, timeout_s=30) as connected:
        yield connected
