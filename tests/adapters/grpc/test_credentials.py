"""Who can connect, by handshakes between real ports: with the right certificate, and without."""

import asyncio
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from moderation.adapters.grpc.credentials import tls_credentials
from moderation.adapters.grpc.interceptors import EdgeInterceptor
from moderation.adapters.grpc.server import Endpoint, GrpcServer, ServerLimits
from moderation.v1 import moderation_pb2_grpc
from tests.certificates import Authority, Pair
from tests.fakes import PATIENCE_S, RecordingTelemetry

OURS, THEIRS = Authority(), Authority("somebody else")
OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


@dataclass
class Held:
    """What a handshake gets."""

    pair: Pair
    client_ca: bytes | None = None

    @property
    def chain(self) -> bytes:
        return self.pair.pem

    @property
    def key(self) -> bytes:
        return self.pair.key_pem


@dataclass
class Port:
    """A server's port, and what new connections to it get."""

    held: Held | None
    number: int = 0

    async def asked(self, *, by: Pair | None = None, trusting: Authority = OURS) -> grpc.StatusCode:
        """How a health check over a new connection ends."""
        credentials = trusting.trusted(by)
        return await code_of(
            grpc.aio.secure_channel(self.address, credentials, options=OWN_CONNECTION)
        )

    async def asked_in_plain_text(self) -> grpc.StatusCode:
        return await code_of(grpc.aio.insecure_channel(self.address, options=OWN_CONNECTION))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.number}"


async def code_of(channel: grpc.aio.Channel) -> grpc.StatusCode:
    async with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
        except grpc.aio.AioRpcError as error:
            return error.code()
        return OK


@asynccontextmanager
async def listening(held: Held | None) -> AsyncIterator[Port]:
    port = Port(held)

    def current() -> Held:
        assert port.held is not None
        return port.held

    server = GrpcServer(
        moderation_pb2_grpc.ModerationServiceServicer(),
        interceptors=[EdgeInterceptor(RecordingTelemetry(), str)],
        endpoint=Endpoint("127.0.0.1:0", tls_credentials(current) if held else None),
        limits=ServerLimits(1 << 20, 64),
    )
    async with server:
        port.number = server.port
        yield port


async def test_without_a_wish_for_certificates_clients_need_none() -> None:
    async with listening(Held(OURS.issue())) as port:
        assert await port.asked() is OK
        assert await port.asked(by=THEIRS.issue()) is OK


@pytest.mark.case(86)
async def test_a_server_of_another_authority_is_not_asked() -> None:
    async with listening(Held(OURS.issue())) as port:
        assert await port.asked(trusting=THEIRS) is UNAVAILABLE
        assert await port.asked() is OK


@pytest.mark.case(86)
async def test_a_server_whose_certificate_has_expired_is_not_asked() -> None:
    async with listening(Held(OURS.issue(days=-1))) as port:
        assert await port.asked() is UNAVAILABLE
        port.held = Held(OURS.issue())
        assert await port.asked() is OK


@pytest.mark.case(86)
async def test_only_clients_with_a_certificate_of_the_right_authority_get_in() -> None:
    async with listening(Held(OURS.issue(), OURS.pem)) as port:
        assert await port.asked() is UNAVAILABLE
        assert await port.asked(by=THEIRS.issue("client")) is UNAVAILABLE
        assert await port.asked(by=OURS.issue("client", days=-1)) is UNAVAILABLE
        assert await port.asked(by=OURS.issue("client")) is OK


async def test_the_clients_authority_can_be_replaced() -> None:
    ours, theirs = OURS.issue("client"), THEIRS.issue("client")
    async with listening(Held(OURS.issue(), OURS.pem)) as port:
        assert await port.asked(by=ours) is OK
        port.held = Held(OURS.issue(), OURS.pem + THEIRS.pem)
        assert [await port.asked(by=one) for one in (ours, theirs)] == [OK, OK]
        port.held = Held(OURS.issue(), THEIRS.pem)
        assert [await port.asked(by=one) for one in (ours, theirs)] == [UNAVAILABLE, OK]


@pytest.mark.case(42)
async def test_plain_text_and_tls_do_not_mix() -> None:
    async with listening(Held(OURS.issue())) as secured, listening(None) as plain:
        assert await secured.asked_in_plain_text() is UNAVAILABLE
        assert await plain.asked() is UNAVAILABLE
        assert await secured.asked() is OK
        assert await plain.asked_in_plain_text() is OK


@pytest.mark.parametrize(
    ("version", "is_spoken"),
    [
        (ssl.TLSVersion.TLSv1_1, False),
        (ssl.TLSVersion.TLSv1_2, True),
        (ssl.TLSVersion.TLSv1_3, True),
    ],
)
async def test_less_than_tls_1_2_is_not_spoken(version: ssl.TLSVersion, is_spoken: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=OURS.pem.decode())
    context.set_alpn_protocols(["h2"])
    context.set_ciphers("ALL:@SECLEVEL=0")  # without this OpenSSL itself would refuse
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = context.maximum_version = version

    async with listening(Held(OURS.issue())) as port:
        try:
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port.number, ssl=context, server_hostname="localhost"
            )
        except (ssl.SSLError, ConnectionResetError):
            assert not is_spoken
            return
        spoken = writer.get_extra_info("ssl_object").version()
        writer.close()

    assert is_spoken
    assert spoken == version.name.replace("_", ".")
