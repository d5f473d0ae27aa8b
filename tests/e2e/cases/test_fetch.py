"""Images by URI to a real server: fetched where that is allowed, and from nowhere else."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from moderation.client import Action, InvalidRequest, Item, ModerationClient
from moderation.v1 import moderation_pb2 as pb
from tests.adapters.fetch.host import Host, running_host
from tests.e2e.cases.conftest import ROOT
from tests.e2e.server import running_server

pytestmark = pytest.mark.e2e

CAT = ROOT / "samples" / "cat-portrait.jpg"


@dataclass
class World:
    """A service that may fetch, a host that it may fetch from, one that it may not, a folder."""

    client: ModerationClient
    host: Host
    folder: Path

    def at(self, path: str) -> str:
        return f"https://localhost:{self.host.port}{path}"


def allowing(host: Host, folder: Path, *, private: bool) -> dict[str, str]:
    names = ("localhost", "127.0.0.1", "2130706433", "127.1", "169.254.169.254")
    return {
        "MODERATION_FETCH__HOSTS": ",".join(f"{name}:{host.port}" for name in names),
        "MODERATION_FETCH__PRIVATE_NETWORKS": str(private).lower(),
        "MODERATION_FETCH__CA_FILE": str(host.authority),
        "MODERATION_FETCH__FILE_ROOTS": str(folder),
        "MODERATION_FETCH__TIMEOUT_S": "2",
    }


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("host")) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    shutil.copy(CAT, made / "cat.jpg")
    return made


@pytest.fixture(scope="module")
def world(policies: Path, host: Host, folder: Path) -> Iterator[World]:
    with (
        running_server(policies, env=allowing(host, folder, private=True)) as server,
        ModerationClient(server.address, timeout_s=5) as client,
    ):
        yield World(client, host, folder)


def test_an_image_is_judged_as_if_it_had_been_sent(world: World) -> None:
    sent = world.client.moderate(CAT.read_bytes(), include_all_verdicts=True)
    named = world.client.moderate(
        uri=f"file://{world.folder}/cat.jpg", content_id="named", include_all_verdicts=True
    )
    (streamed,) = world.client.moderate_stream([Item(uri=world.at("/image"), content_id="web")])

    assert [one.score for one in named.verdicts] == [one.score for one in sent.verdicts]
    assert named.content_id == "named"
    assert not streamed.decision.HasField("failure")


def test_a_host_that_is_too_slow_means_the_client_s_posture(world: World) -> None:
    decision = world.client.moderate(uri=world.at("/drip"))

    assert Action(decision.action) is Action.REVIEW
    assert decision.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE


@pytest.mark.parametrize(
    ("image", "uri", "told"),
    [
        (b"x", "file:///x", "stands beside content.image"),
        (b"", "file:///etc/passwd", "not below a folder"),
        (b"", "https://elsewhere.example/x", "not among those"),
        (b"", "http://localhost/x", "must begin with https"),
    ],
)
def test_a_name_that_is_not_allowed_is_told(
    world: World, image: bytes, uri: str, told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        world.client.moderate(image, uri=uri)


@pytest.mark.case(89)
def test_nothing_inside_is_connected_to(policies: Path, host: Host, folder: Path) -> None:
    host.connections = 0
    with (
        running_server(policies, env=allowing(host, folder, private=False)) as server,
        ModerationClient(server.address, timeout_s=10) as client,
    ):
        for name in ("localhost", "127.0.0.1", "2130706433", "127.1", "[::1]", "169.254.169.254"):
            with pytest.raises(InvalidRequest):
                client.moderate(uri=f"https://{name}:{host.port}/image")

    assert host.connections == 0


@pytest.mark.case(89)
def test_without_the_setting_nothing_is_fetched(client: ModerationClient, host: Host) -> None:
    host.connections = 0

    with pytest.raises(InvalidRequest, match="images by URI are off"):
        client.moderate(uri=f"https://localhost:{host.port}/image")

    assert host.connections == 0
