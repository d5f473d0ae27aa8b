"""Both clients over TLS: whom they trust, and what they show."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from moderation.client import Action, Tls, TlsUnusable
from moderation.v1 import moderation_pb2 as pb
from tests.certificates import Authority, put
from tests.client.scripted import (
    Connect,
    ScriptedService,
    connect_async,
    connect_sync,
    serving,
)

OURS, THEIRS = Authority(), Authority("somebody else")
CLIENT = OURS.issue("client")


@pytest.fixture(params=[connect_async, connect_sync], ids=["async", "sync"])
def connect(request: pytest.FixtureRequest) -> Connect:
    connect: Connect = request.param
    return connect


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """Of a server that wants to see a certificate."""
    async with serving(ScriptedService(), OURS.demanding()) as address:
        yield address


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    return put(tmp_path / "ca.crt", OURS.pem)


@pytest.fixture
def shown(tmp_path: Path) -> tuple[Path, Path]:
    """A client's certificate and its key."""
    certificate = put(tmp_path / "client.crt", CLIENT.pem)
    return certificate, put(tmp_path / "client.key", CLIENT.key_pem)


async def test_a_client_with_the_right_files_is_answered(
    connect: Connect, address: str, ca: Path, shown: tuple[Path, Path]
) -> None:
    async with connect(address, credentials=Tls(ca, *shown)) as client:
        decision = await client.moderate(b"image")

    assert decision.decision_id


async def test_a_name_in_the_certificate_can_stand_for_the_address(
    connect: Connect, address: str, ca: Path, shown: tuple[Path, Path]
) -> None:
    async def judged(name: str) -> pb.Decision:
        tls = Tls(ca, *shown, server_name=name)
        async with connect(address, credentials=tls, timeout_s=2) as client:
            return await client.moderate(b"image")

    assert (await judged("localhost")).decision_id
    assert not (await judged("somebody.else")).decision_id


async def test_several_addresses_need_a_name_to_look_for(
    connect: Connect, address: str, ca: Path, shown: tuple[Path, Path]
) -> None:
    target = f"ipv4:{address},{address}"

    async def judged(name: str) -> pb.Decision:
        tls = Tls(ca, *shown, server_name=name)
        async with connect(target, credentials=tls, timeout_s=2) as client:
            return await client.moderate(b"image")

    assert (await judged("localhost")).decision_id
    assert not (await judged("")).decision_id


@pytest.mark.parametrize(
    "tls",
    [
        lambda ca, shown: Tls(ca),
        lambda ca, shown: Tls(put(ca, THEIRS.pem), *shown),
        lambda ca, shown: Tls(),
        lambda ca, shown: None,
    ],
    ids=["nothing to show", "another authority", "authorities of the internet", "plain text"],
)
async def test_without_them_the_posture_decides(
    tls: Callable[[Path, tuple[Path, Path]], Tls | None],
    connect: Connect,
    address: str,
    ca: Path,
    shown: tuple[Path, Path],
) -> None:
    async with connect(address, credentials=tls(ca, shown), timeout_s=2) as client:
        decision = await client.moderate(b"image")

    assert Action(decision.action) is Action.REVIEW
    assert decision.failure.code == pb.FAILURE_CODE_SERVICE_UNAVAILABLE


@pytest.mark.parametrize(
    ("content", "told"), [(None, "cannot be read: No such file"), (b"x", "holds nothing in PEM")]
)
async def test_a_file_that_cannot_be_used_is_named(
    content: bytes | None, told: str, connect: Connect, tmp_path: Path
) -> None:
    path = tmp_path / "ca.crt"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(TlsUnusable, match=f"{path}: {told}"):
        async with connect("127.0.0.1:1", credentials=Tls(path)):
            raise AssertionError("it must not open")


def test_half_a_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="belong together"):
        Tls("ca.crt", certificate="client.crt")
