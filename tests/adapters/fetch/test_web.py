"""Fetching over HTTPS from a real server: what arrives, and what is never even connected to."""

import ssl
from collections.abc import Iterator, Sequence

import pytest

from moderation.adapters.fetch import WebFetcher, WebRules
from moderation.adapters.fetch.web import addresses_of
from moderation.core.errors import InvalidRequest, NotReady
from moderation.core.image_uri import AllowedHost, image_uri_from
from tests.adapters.fetch.host import IMAGE, LARGE, Host, running_host

MAX_BYTES = 200_000


def ignore(n_bytes: int) -> None:
    """Of no interest here how many bytes will come."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with running_host(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture
def host(running: Host) -> Host:
    running.asked.clear()
    running.connections = 0
    return running


def rules(host: Host, *names: str, private_networks: bool = True) -> WebRules:
    hosts = tuple(AllowedHost(name, host.port) for name in names or ("localhost",))
    return WebRules(hosts, MAX_BYTES, max_redirects=2, private_networks=private_networks)


async def fetched(host: Host, path: str, chosen: WebRules | None = None) -> bytes:
    async with WebFetcher(chosen or rules(host), trusted=host.trusted()) as web:
        return await web.fetch(image_uri_from(f"https://localhost:{host.port}{path}"), ignore)


async def test_an_image_arrives_from_the_host_by_its_name(host: Host) -> None:
    assert await fetched(host, "/image?size=1") == IMAGE

    assert host.asked == [(f"localhost:{host.port}", "/image?size=1")]


async def test_how_large_an_image_is_is_told_before_it_comes(host: Host) -> None:
    told: list[int] = []
    async with WebFetcher(rules(host), trusted=host.trusted()) as web:
        for path in ("/image", "/large", "/open"):
            await web.fetch(image_uri_from(f"https://localhost:{host.port}{path}"), told.append)

    assert told == [len(IMAGE), len(LARGE)]  # a host need not say


async def test_an_image_may_be_somewhere_else_on_an_allowed_host(host: Host) -> None:
    assert await fetched(host, "/to/~image") == IMAGE


async def test_no_more_is_read_than_tells_that_it_is_too_large(host: Host) -> None:
    assert len(await fetched(host, "/large")) == MAX_BYTES + 1


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/nothing", "its host answered 404"),
        ("/round", "leads on more than 2 times"),
        ("/packed", "packs what it sends"),
        ("/to/http:~~localhost~image", "must begin with https"),
        ("/to/file:~~~etc~passwd", "leads on to something other than https"),
        ("/to/https:~~elsewhere.example~x", "not among those"),
        ("/to/https:~~localhost:1~x", "not among those"),
    ],
)
async def test_what_only_the_caller_can_mend_is_told(host: Host, path: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        await fetched(host, path)


@pytest.mark.parametrize(
    ("path", "told"), [("/broken", "its host answered 503"), ("/cut", "broke off")]
)
async def test_what_may_go_better_later_is_told(host: Host, path: str, told: str) -> None:
    with pytest.raises(NotReady, match=told):
        await fetched(host, path)


async def test_a_host_without_a_certificate_of_the_authority_is_not_asked(host: Host) -> None:
    nobody = ssl.create_default_context()
    async with WebFetcher(rules(host), trusted=nobody) as web:
        with pytest.raises(NotReady, match="cannot be reached"):
            await web.fetch(image_uri_from(f"https://localhost:{host.port}/image"), ignore)

    assert not host.asked


@pytest.mark.parametrize(
    "name",
    [
        "localhost",
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
async def test_what_is_inside_is_never_connected_to_even_if_its_name_is_allowed(
    host: Host, name: str
) -> None:
    chosen = rules(host, name.strip("[]"), private_networks=False)
    async with WebFetcher(chosen, trusted=host.trusted()) as web:
        with pytest.raises(InvalidRequest, match=r"not on the open internet|no address"):
            await web.fetch(image_uri_from(f"https://{name}:{host.port}/image"), ignore)

    assert host.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [["8.8.8.8", "127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"], ["::ffff:10.0.0.1"], []],
)
async def test_one_address_inside_is_enough_to_refuse(host: Host, addresses: list[str]) -> None:
    async def resolve(name: str, port: int) -> Sequence[str]:
        return addresses

    chosen = rules(host, private_networks=False)
    async with WebFetcher(chosen, trusted=host.trusted(), resolve=resolve) as web:
        with pytest.raises(InvalidRequest):
            await web.fetch(image_uri_from(f"https://localhost:{host.port}/image"), ignore)

    assert host.connections == 0


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to(host: Host) -> None:
    asked: list[str] = []

    async def rebinding(name: str, port: int) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    chosen = rules(host, "pictures.example")
    async with WebFetcher(chosen, trusted=host.trusted(), resolve=rebinding) as web:
        # Not for that name is the certificate: the connection was made, to the first address.
        with pytest.raises(NotReady):
            await web.fetch(image_uri_from(f"https://pictures.example:{host.port}/image"), ignore)

    assert asked == ["pictures.example"]
    assert host.connections == 1


async def test_a_name_without_an_address_is_told(host: Host) -> None:
    chosen = rules(host, "nowhere.invalid")
    async with WebFetcher(chosen, trusted=host.trusted()) as web:
        with pytest.raises(InvalidRequest, match="has no address"):
            await web.fetch(image_uri_from(f"https://nowhere.invalid:{host.port}/image"), ignore)


async def test_the_resolver_of_the_system_is_asked() -> None:
    assert "127.0.0.1" in await addresses_of("localhost", 443)
