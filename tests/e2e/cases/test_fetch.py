"""Images by URI to a real server: fetched where that is allowed, and from nowhere else."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import grpc
import pytest

from moderation.client import Action, InvalidRequest, Item, ModerationClient
from moderation.core.identity import Role
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import ModerationServiceStub
from tests.adapters.fetch.host import Host, running_host
from tests.adapters.fetch.stores import AWS, KEY, REGION, Account, running_gs, running_s3
from tests.adapters.identity.keys import KeysForTests
from tests.e2e.cases.conftest import ROOT
from tests.e2e.server import PATIENCE_S, Server, running_server, until

pytestmark = pytest.mark.e2e

OK, EXHAUSTED = grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED
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


@dataclass
class Guarded:
    """A service that may fetch, and knows its callers."""

    stub: ModerationServiceStub
    keys: KeysForTests
    host: Host

    def ask(self, path: str, key: str) -> "grpc.CallFuture[pb.ModerateResponse]":
        """A call that is under way, with an image at the host."""
        content = pb.Content(uri=f"https://localhost:{self.host.port}{path}")
        metadata = (("x-api-key", key),)
        request = pb.ModerateRequest(content=content)
        call: grpc.CallFuture[pb.ModerateResponse] = self.stub.Moderate.future(
            request, metadata=metadata, timeout=PATIENCE_S
        )
        return call

    def code(self, path: str, key: str) -> grpc.StatusCode:
        """How such a call ends."""
        code: grpc.StatusCode = self.ask(path, key).code()
        return code

    def asked(self, path: str) -> int:
        """How often the host was asked for it."""
        return [asked for _, asked in self.host.asked].count(path)


@pytest.fixture(scope="module")
def guarded(
    policies: Path, host: Host, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    keys = KeysForTests(tmp_path_factory.mktemp("keys") / "keys.yaml")
    small = keys.path.read_text().replace("max_in_flight: 2", "max_in_flight_bytes: 1000000")
    keys.path.write_text(small)
    env = allowing(host, folder, private=True) | {
        "MODERATION_IDENTITY__KEYS_FILE": str(keys.path),
        "MODERATION_FETCH__TIMEOUT_S": "30",
        "MODERATION_LIMITS__MAX_REQUEST_S": "30",
        "MODERATION_DECODE__MAX_IMAGE_BYTES": "900000",
    }
    with (
        running_server(policies, env=env) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield Guarded(ModerationServiceStub(channel), keys, host)


@pytest.mark.case(52, 87)
def test_a_tenant_over_its_rate_has_nothing_fetched(guarded: Guarded) -> None:
    slow, shop = guarded.keys.of_slow, guarded.keys.of(Role.MODERATE)

    codes = [guarded.code("/image?slow", slow) for _ in range(4)]
    other = guarded.code("/image?shop", shop)

    assert codes == [OK] * 2 + [EXHAUSTED] * 2
    assert guarded.asked("/image?slow") == 2
    assert other is OK


@pytest.mark.case(87)
def test_what_is_being_fetched_counts_to_its_tenant_and_to_no_other(guarded: Guarded) -> None:
    small, shop = guarded.keys.of_flood, guarded.keys.of(Role.MODERATE)

    held = guarded.ask("/held", small)
    until(lambda: guarded.asked("/held") == 1)
    refused = guarded.code("/image?small", small)  # twice the most of an image is too much
    other = guarded.code("/image?shop", shop)
    guarded.host.gate.set()
    assert held.code() is OK
    guarded.host.gate.clear()
    sized = guarded.ask("/sized", small)
    until(lambda: guarded.asked("/sized") == 1)
    # Once the host has said how large the first is, there is room for another.
    until(lambda: guarded.code("/image?beside", small) is OK)
    guarded.host.gate.set()

    assert (refused, other) == (EXHAUSTED, OK)
    assert guarded.asked("/image?small") == 0
    assert sized.code() is OK


@dataclass
class Stores:
    """A service that fetches from two stores, which know it."""

    client: ModerationClient
    s3: Host
    gs: Host
    server: Server


@pytest.fixture(scope="module")
def stores(policies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    folder, account = tmp_path_factory.mktemp("stores"), Account()
    (folder / "s3").mkdir()
    (folder / "gs").mkdir()
    with running_s3(folder / "s3") as s3, running_gs(folder / "gs", account) as gs:
        trusted, key_file = folder / "ca.pem", folder / "account.json"
        trusted.write_bytes(s3.authority.read_bytes() + gs.authority.read_bytes())
        key_file.write_bytes(account.written(f"https://localhost:{gs.port}/token"))
        env = {
            "MODERATION_FETCH__BUCKETS": "s3://pictures, s3://secret, gs://pictures",
            "MODERATION_FETCH__PRIVATE_NETWORKS": "true",
            "MODERATION_FETCH__CA_FILE": str(trusted),
            "MODERATION_FETCH__S3_REGION": REGION,
            "MODERATION_FETCH__S3_ENDPOINT": f"https://localhost:{s3.port}",
            "MODERATION_FETCH__GS_ENDPOINT": f"https://localhost:{gs.port}",
            "MODERATION_FETCH__GS_CREDENTIALS_FILE": str(key_file),
            "MODERATION_DECODE__MAX_IMAGE_BYTES": "200000",
            "MODERATION_LOG__LEVEL": "debug",
            "AWS_ACCESS_KEY_ID": AWS.access_key,
            "AWS_SECRET_ACCESS_KEY": AWS.secret_key,
        }
        with (
            running_server(policies, env=env) as server,
            ModerationClient(server.address, timeout_s=PATIENCE_S) as client,
        ):
            yield Stores(client, s3, gs, server)


@pytest.mark.parametrize("scheme", ["s3", "gs"])
def test_an_object_of_a_store_is_judged_as_any_image(stores: Stores, scheme: str) -> None:
    whole = stores.client.moderate(uri=f"{scheme}://pictures/{quote(KEY)}")
    large = stores.client.moderate(uri=f"{scheme}://pictures/large")

    assert not whole.HasField("failure")
    assert large.failure.code == pb.FAILURE_CODE_TOO_MANY_BYTES
    assert Action(large.action) is not Action.ALLOW


@pytest.mark.case(89)
@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://pictures/nothing", "its host answered 404"),
        ("gs://pictures/nothing", "its host answered 404"),
        ("s3://secret/x", "its host answered 403"),
        ("s3://open/large", "its bucket is not among those"),
        ("gs://secret/x", "its bucket is not among those"),
        ("s3://pictures/%2e%2e/open/large", "must name a key"),
        ("https://localhost/pictures/x", "its host is not among those"),
    ],
)
def test_what_a_store_does_not_give_is_told(stores: Stores, uri: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        stores.client.moderate(uri=uri)


def test_nothing_of_a_store_is_in_the_log(stores: Stores) -> None:
    stores.client.moderate(uri=f"s3://pictures/{quote(KEY)}")
    stores.server.terminate()
    log = json.dumps(stores.server.whole_log())

    assert '"level": "debug"' in log
    for secret in (AWS.secret_key, "AWS4-HMAC-SHA256", "private_key", "Bearer", quote(KEY)):
        assert secret not in log


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
