"""Objects from servers that check who asks: what arrives, and whose fault it is if nothing does."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from moderation.adapters.fetch import (
    Anonymous,
    Signer,
    StoreFetcher,
    WebFetcher,
    WebRules,
    bucket_place,
)
from moderation.adapters.fetch.gs import GsSigner, service_account
from moderation.adapters.fetch.s3 import S3Signer, aws_credentials
from moderation.core.errors import InvalidRequest, NotReady
from moderation.core.image_uri import image_uri_from
from tests.adapters.fetch.host import Host
from tests.adapters.fetch.stores import (
    AWS,
    KEY,
    OBJECTS,
    REGION,
    Account,
    running_gs,
    running_s3,
)

MAX_BYTES = 200_000
BUCKETS = ("pictures", "open", "secret", "elsewhere")


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_s3(tmp_path_factory.mktemp("s3")) as host:
        yield host


@pytest.fixture(scope="module")
def account() -> Account:
    return Account()


@pytest.fixture(scope="module")
def gs(tmp_path_factory: pytest.TempPathFactory, account: Account) -> Iterator[Host]:
    with running_gs(tmp_path_factory.mktemp("gs"), account) as host:
        yield host


def endpoint_of(host: Host) -> str:
    return f"https://localhost:{host.port}"


async def fetched(host: Host, signer: Signer, uri: str, *, private: bool = True) -> bytes:
    rules = WebRules((), MAX_BYTES, private_networks=private)
    places = {name: bucket_place(endpoint_of(host), name) for name in BUCKETS}
    async with WebFetcher(rules, trusted=host.trusted()) as web:
        store = StoreFetcher(web, places, signer)
        return await store.fetch(image_uri_from(uri), lambda n_bytes: None)


def signer_of(credentials: Credentials = AWS, region: str = REGION) -> S3Signer:
    return S3Signer(credentials, region)


@pytest.mark.parametrize("key", [one for one in OBJECTS if one != "large"])
async def test_an_object_of_any_key_arrives_by_a_signature_that_is_right(
    s3: Host, key: str
) -> None:
    image = await fetched(s3, signer_of(), f"s3://pictures/{quote(key)}")

    assert image == OBJECTS[key]


async def test_a_session_s_token_is_signed_and_shown(s3: Host) -> None:
    session = Credentials(AWS.access_key, AWS.secret_key, "a token")

    assert await fetched(s3, signer_of(session), f"s3://pictures/{quote(KEY)}") == OBJECTS[KEY]


async def test_what_everybody_may_read_needs_nobody(s3: Host) -> None:
    assert await fetched(s3, Anonymous(), f"s3://open/{quote(KEY)}") == OBJECTS[KEY]


async def test_no_more_is_read_than_tells_that_it_is_too_large(s3: Host) -> None:
    assert len(await fetched(s3, signer_of(), "s3://pictures/large")) == MAX_BYTES + 1


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("s3://pictures/nothing", "its host answered 404"),
        ("s3://secret/x", "its host answered 403"),
        ("s3://other/x", "its bucket is not among those"),
        ("s3://pictures/..%2Fsecret%2Fx", "must name a key"),
    ],
)
async def test_what_only_the_caller_can_mend_is_told(s3: Host, uri: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        await fetched(s3, signer_of(), uri)


@pytest.mark.parametrize(
    "signer",
    [
        signer_of(Credentials(AWS.access_key, "another secret")),
        signer_of(Credentials("AKIDOTHER", AWS.secret_key)),
        signer_of(region="us-test-1"),
    ],
)
async def test_wrong_credentials_are_not_the_caller_s_mistake(s3: Host, signer: Signer) -> None:
    with pytest.raises(NotReady, match="does not take the service's credentials"):
        await fetched(s3, signer, "s3://pictures/x")


async def test_a_store_that_leads_on_is_not_followed(s3: Host) -> None:
    s3.asked.clear()
    with pytest.raises(NotReady, match="leads on"):
        await fetched(s3, signer_of(), "s3://elsewhere/x")

    assert [path for _, path in s3.asked] == ["/elsewhere/x"]


async def test_a_store_inside_is_not_connected_to_unless_that_is_allowed(s3: Host) -> None:
    s3.connections = 0
    with pytest.raises(InvalidRequest, match="not on the open internet"):
        await fetched(s3, signer_of(), "s3://open/x", private=False)

    assert s3.connections == 0


def gs_signer(host: Host, account: Account, folder: Path) -> GsSigner:
    path = folder / "account.json"
    path.write_bytes(account.written(f"{endpoint_of(host)}/token"))
    return GsSigner(service_account(path), ca_file=str(host.authority), timeout_s=20.0)


async def test_an_object_arrives_by_one_token_however_many_ask(
    gs: Host, account: Account, tmp_path: Path
) -> None:
    gs.asked.clear()
    signer = gs_signer(gs, account, tmp_path)
    keys = [f"gs://pictures/{quote(key)}" for key in OBJECTS if key != "large"]

    images = await asyncio.gather(*(fetched(gs, signer, uri) for uri in keys))

    assert images == [image for key, image in OBJECTS.items() if key != "large"]
    assert [path for _, path in gs.asked].count("/token") == 1


async def test_what_everybody_may_read_needs_no_account(gs: Host) -> None:
    assert await fetched(gs, Anonymous(), f"gs://open/{quote(KEY)}") == OBJECTS[KEY]


async def test_a_token_that_is_not_taken_is_not_the_caller_s_mistake(
    gs: Host, account: Account, tmp_path: Path
) -> None:
    signer = gs_signer(gs, account, tmp_path)
    with pytest.raises(InvalidRequest, match="its host answered 404"):
        await fetched(gs, signer, "gs://pictures/nothing")
    account.tokens.clear()

    with pytest.raises(NotReady, match="does not take the service's credentials"):
        await fetched(gs, signer, "gs://pictures/nothing")


async def test_an_account_that_gets_no_token_is_not_the_caller_s_mistake(
    gs: Host, tmp_path: Path
) -> None:
    stranger = gs_signer(gs, Account(), tmp_path)

    with pytest.raises(NotReady, match="gets no token"):
        await fetched(gs, stranger, "gs://pictures/x")


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (b"{", "is no key file"),
        (b"[]", "is no key file"),
        (b'{"client_email": "a@b", "private_key": "secret"}', "is no key file"),
        (Account().written("http://localhost/token"), "its token_uri must be https"),
    ],
)
def test_what_is_no_key_file_is_told_without_what_is_in_it(
    tmp_path: Path, written: bytes, told: str
) -> None:
    path = tmp_path / "account.json"
    path.write_bytes(written)

    with pytest.raises(ValueError, match=told) as caught:
        service_account(path)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "bucket", "url"),
    [
        ("https://{bucket}.s3.x.example", "b", "https://b.s3.x.example/key"),
        ("https://s3.x.example", "b.c", "https://s3.x.example/b.c/key"),
        ("https://minio.svc:9000/", "b", "https://minio.svc:9000/b/key"),
    ],
)
def test_a_bucket_is_a_host_or_a_folder(endpoint: str, bucket: str, url: str) -> None:
    place = bucket_place(endpoint, bucket).at("key")

    assert f"https://{place.authority}{place.target}" == url


PLACE = bucket_place("https://s3.example", "b").at("key")


def test_credentials_that_cannot_be_renewed_are_not_the_caller_s_mistake() -> None:
    def fail() -> dict[str, str]:
        raise CredentialRetrievalError(provider="test", error_msg="away")

    gone = RefreshableCredentials("AKID", "s", "t", datetime(2020, 1, 1, tzinfo=UTC), fail, "test")

    with pytest.raises(NotReady, match="has no credentials"):
        S3Signer(gone, REGION).headers(PLACE)


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("http://s3.example", "must begin with https"),
        ("https://", "must name a host"),
        ("https://s3.example/path", "with no path"),
        ("file:///x", "must be https"),
        ("https://{bucket}.s3.example", "no certificate is for a bucket with dots"),
    ],
)
def test_what_is_no_endpoint_is_told(endpoint: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        bucket_place(endpoint, "a.b")


class _Metadata(BaseHTTPRequestHandler):
    """An instance's metadata: a session, a role, and that role's credentials."""

    asked: list[str]

    def do_PUT(self) -> None:
        self._answer(b"session")

    def do_GET(self) -> None:
        answer = b'{"Code":"Success","AccessKeyId":"AKIDROLE","SecretAccessKey":"s","Token":"t",'
        answer += b'"Expiration":"2099-01-01T00:00:00Z"}'
        self._answer(answer if self.path.endswith("/role") else b"role")

    def _answer(self, body: bytes) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def metadata(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Paths that were asked of the instance's metadata, where there are no other credentials."""
    asked: list[str] = []
    server = HTTPServer(("127.0.0.1", 0), type("Own", (_Metadata,), {"asked": asked}))
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "false")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(
        "AWS_EC2_METADATA_SERVICE_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}"
    )
    yield asked
    server.shutdown()
    serving.join()
    server.server_close()


def test_the_instance_s_metadata_are_asked_only_where_that_is_allowed(metadata: list[str]) -> None:
    with pytest.raises(ValueError, match="finds none"):
        aws_credentials(instance_metadata=False)

    assert not metadata


def test_a_role_that_would_ask_them_gets_nothing_either(
    metadata: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::1:role/x\ncredential_source = Ec2InstanceMetadata\n"
    )

    with pytest.raises(ValueError, match="finds none: CredentialRetrievalError"):
        aws_credentials(instance_metadata=False)

    assert not metadata


def test_where_it_is_allowed_the_role_of_the_instance_signs(metadata: list[str]) -> None:
    signer = S3Signer(aws_credentials(instance_metadata=True), REGION)

    headers = signer.headers(PLACE)

    assert "Credential=AKIDROLE/" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "t"
    assert metadata
