"""What no proper client sends: the server answers, ends or bounds it, and others see nothing.

Each attack runs while a bystander asks for decisions; every one of those must be answered.
"""

import gzip
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import psutil
import pytest
from hyperframe.frame import SettingsFrame

from moderation.adapters.prometheus.endpoint import MAX_CONNECTIONS as METRICS_CONNECTIONS
from moderation.client import ModerationClient
from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.e2e.http2 import PREFACE, RawConnection, data, message, ping, reset
from tests.e2e.server import Server, running_server, until
from tests.picture_builders import a_png, slow_jpeg

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]

ROOT = Path(__file__).parents[2]
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
MB = 2**20
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
"""What grpcio itself makes of a compression that it does not know; the protocol says otherwise."""
MAX_MESSAGE = 2 * MB
MAX_CONNECTIONS = 100
MAX_STREAMS = 64
ITEMS_IN_FLIGHT = 8
ENV = {
    "MODERATION_SERVER__MAX_MESSAGE_BYTES": str(MAX_MESSAGE),
    "MODERATION_SERVER__MAX_CONNECTIONS": str(MAX_CONNECTIONS),
    "MODERATION_SERVER__MAX_STREAMS_PER_CONNECTION": str(MAX_STREAMS),
    "MODERATION_SERVER__ITEMS_IN_FLIGHT": str(ITEMS_IN_FLIGHT),
    "MODERATION_SERVER__STREAM_IDLE_S": "1",
    "MODERATION_SERVER__MAX_ARRIVAL_S": "2",
}
MANY = 1_000_000
MANY_STREAMS = 500
CALLERS = 20
"""Whose pictures take the decoders several seconds together."""
AT_ONCE_S = 2.0
ONE_BYSTANDER = 1
OWN_DESCRIPTORS = 10
"""Of gRPC's pollers, which are made when they are first needed; an attack holds hundreds."""
GROWTH_MB = 48
"""Memory that an attack may leave behind: buffers of the size of messages, and allocator noise."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server(ROOT / "policies", env=ENV) as running:
        with ModerationClient(running.address, timeout_s=30) as client:
            client.moderate(CAT)
        yield running


@pytest.fixture(autouse=True)
def bystander(server: Server) -> Iterator[None]:
    """Somebody else, who must get every answer, and a server that is as it was before."""
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    descriptors = process.num_fds()
    done = threading.Event()
    failures: list[pb.Failure] = []
    answered = 0

    with ModerationClient(server.address, timeout_s=30) as client:

        def ask() -> None:
            nonlocal answered
            while not done.wait(0.02):
                decision = client.moderate(CAT)
                answered += 1
                if decision.HasField("failure"):
                    failures.append(decision.failure)

        asking = threading.Thread(target=ask)
        asking.start()
        try:
            until(lambda: answered > 0)
            yield
        finally:
            done.set()
            asking.join()
    assert failures == []
    until(lambda: process.num_fds() <= descriptors + OWN_DESCRIPTORS)
    assert process.memory_info().rss - before < GROWTH_MB * MB


@pytest.fixture
def channel(server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(server.address) as opened:
        yield opened


def code_of(
    channel: grpc.Channel,
    request: bytes,
    method: str = "Moderate",
    metadata: tuple[tuple[str, str | bytes], ...] = (),
) -> tuple[grpc.StatusCode, str]:
    """The status, which must not ask anybody to come again: the same would be refused again."""
    path = f"/moderation.v1.ModerationService/{method}"
    ask = channel.unary_unary(path, request_serializer=bytes, response_deserializer=bytes)
    call = ask.future(request, timeout=20, metadata=metadata)
    assert "grpc-retry-pushback-ms" not in dict(call.trailing_metadata() or ())
    return call.code(), call.details()


@pytest.mark.case(29)
def test_bytes_that_are_no_message_are_an_invalid_argument(channel: grpc.Channel) -> None:
    code, details = code_of(channel, b"\xff\xff\xff\xff")

    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details == "message: is not valid protobuf of the expected type"


@pytest.mark.case(30)
def test_a_message_over_the_limit_is_refused(channel: grpc.Channel) -> None:
    code, _ = code_of(channel, bytes(MAX_MESSAGE + 1))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.case(31)
def test_a_bomb_of_gzip_is_refused_by_its_unpacked_size(server: Server) -> None:
    bomb = gzip.compress(bytes(512 * MB), compresslevel=9)
    assert len(bomb) < MAX_MESSAGE

    with RawConnection(server.address) as connection:
        connection.send(connection.request(1, extra=[("grpc-encoding", "gzip")]))
        packed = message(bomb, compressed=True)
        # As much as the window lets through; the rest of a bomb is never asked for.
        for start in range(0, 60_000, 15_000):
            connection.send(data(1, packed[start : start + 15_000]))
    with grpc.insecure_channel(server.address, compression=grpc.Compression.Gzip) as packing:
        code, _ = code_of(packing, bytes(64 * MB))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.case(32)
def test_a_length_of_4_gib_is_refused_before_anything_is_set_aside(server: Server) -> None:
    with RawConnection(server.address) as connection:
        connection.send(connection.request(1))
        connection.send(data(1, message(b"x", claimed=2**32 - 1)))
        assert connection.status() == RESOURCE_EXHAUSTED


@pytest.mark.case(33)
def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    code, _ = code_of(channel, b"", method="Nonsense")

    assert code is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.case(34)
def test_metadata_of_20_kb_is_refused(channel: grpc.Channel) -> None:
    code, _ = code_of(channel, b"", metadata=(("x-padding", "x" * 20_000),))

    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.case(35)
def test_a_compression_that_nobody_knows_is_refused(server: Server) -> None:
    with RawConnection(server.address) as connection:
        connection.send(connection.request(1, extra=[("grpc-encoding", "snappy-9")]))
        connection.send(data(1, message(b"x", compressed=True), end=True))
        assert connection.status() == INTERNAL


@pytest.mark.case(36)
def test_a_flood_of_pings_ends_its_connection(server: Server) -> None:
    with RawConnection(server.address) as connection:
        try:
            for number in range(10_000):
                connection.send(ping(number))
        except OSError:
            return
        assert b"too_many_pings" in connection.until_closed(within_s=10)


@pytest.mark.case(37)
def test_rapid_resets_harm_nobody_else(server: Server) -> None:
    with RawConnection(server.address) as connection:
        try:
            for stream in range(1, 20_001, 2):
                connection.send(connection.request(stream), reset(stream))
        except OSError:
            pass  # the server had enough


@pytest.mark.case(38)
def test_more_streams_than_allowed_are_not_opened(server: Server) -> None:
    with RawConnection(server.address) as connection:
        # Until the settings are acknowledged, HTTP/2 lets a client go by those of before.
        connection.send(SettingsFrame(0, flags=["ACK"]))
        connection.send(*(connection.request(1 + 2 * number) for number in range(MANY_STREAMS)))

        assert connection.refusals(MANY_STREAMS - MAX_STREAMS) == MANY_STREAMS - MAX_STREAMS


@pytest.mark.case(41)
def test_a_flood_of_settings_harms_nobody_else(server: Server) -> None:
    flooded(server, lambda _: SettingsFrame(0, {SettingsFrame.INITIAL_WINDOW_SIZE: 65_535}))


def flooded(server: Server, frame: Callable[[int], SettingsFrame]) -> None:
    with RawConnection(server.address) as connection:
        try:
            for number in range(20_000):
                connection.send(frame(number))
        except OSError:
            pass  # the server had enough


@pytest.mark.case(41)
def test_headers_that_never_end_harm_nobody_else(server: Server) -> None:
    with RawConnection(server.address) as connection:
        try:
            for frame in connection.headers_that_never_end(1, continuations=2000):
                connection.send(frame)
        except OSError:
            pass  # the server had enough


@pytest.mark.case(39)
def test_connections_that_say_nothing_are_closed_and_bounded(server: Server) -> None:
    host, port = server.address.rsplit(":", 1)
    silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(300)]
    try:
        for one in silent:
            one.send(PREFACE[:8])
        time.sleep(0.2)
        assert psutil.Process(server.process.pid).num_fds() < MAX_CONNECTIONS + 60
        assert server.wait_for("connections_full")["connections"] == MAX_CONNECTIONS
        for one in silent:
            one.settimeout(20)
            assert is_closed(one)
    finally:
        for one in silent:
            one.close()


def is_closed(connection: socket.socket) -> bool:
    try:
        while connection.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_connections_to_the_metrics_that_say_nothing_take_no_descriptor_from_requests(
    server: Server,
) -> None:
    port = int(urlsplit(server.metrics_url).port or 0)
    before = psutil.Process(server.process.pid).num_fds()

    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(socket.create_connection(("127.0.0.1", port), 20))
        time.sleep(0.2)
        held = psutil.Process(server.process.pid).num_fds() - before
        until(lambda: is_ready(server))

    assert held <= METRICS_CONNECTIONS + OWN_DESCRIPTORS


def is_ready(server: Server) -> bool:
    url = server.metrics_url.removesuffix("/metrics") + "/ready"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.case(40)
def test_calls_whose_message_stops_half_way_are_ended(server: Server) -> None:
    with ExitStack() as open_:
        connections = [open_.enter_context(RawConnection(server.address)) for _ in range(20)]
        for connection in connections:
            connection.send(connection.request(1), data(1, message(b"half", claimed=MB)))
        assert {connection.status() for connection in connections} == {DEADLINE_EXCEEDED}


@pytest.mark.case(43)
def test_a_stream_that_sends_nothing_is_ended(server: Server) -> None:
    never = threading.Event()

    def nothing() -> Iterator[pb.ModerateStreamRequest]:
        never.wait(20)
        yield from ()

    with grpc.insecure_channel(server.address) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        call = stub.ModerateStream(nothing())
        started = time.monotonic()
        code = call.code()
        took_s = time.monotonic() - started
        never.set()

    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    assert took_s < 10


@pytest.mark.case(44)
def test_a_reader_that_never_reads_gets_no_more_than_is_under_way(server: Server) -> None:
    small, everything = a_png(), pb.ModerateOptions(include_all_verdicts=True)
    sent = 0
    enough = threading.Event()

    def pictures() -> Iterator[pb.ModerateStreamRequest]:
        nonlocal sent
        for number in range(MANY):
            if enough.is_set():
                return
            sent += 1
            content = pb.Content(image=small, content_id=str(number))
            yield pb.ModerateStreamRequest(content=content, options=everything)

    def is_at_rest() -> bool:
        before = sent
        time.sleep(1)
        return 0 < before == sent

    with grpc.insecure_channel(server.address) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        call = stub.ModerateStream(pictures())
        until(is_at_rest)
        enough.set()
        call.cancel()

    assert sent < MANY


@pytest.mark.case(44)
def test_a_stream_has_no_more_under_way_than_it_may(server: Server) -> None:
    slow, under_way = slow_jpeg(), [0.0]
    contents = (pb.Content(image=slow + b"!%d" % number) for number in range(CALLERS))
    requests = (pb.ModerateStreamRequest(content=one) for one in contents)

    with grpc.insecure_channel(server.address) as channel:
        call = moderation_pb2_grpc.ModerationServiceStub(channel).ModerateStream(requests)
        until(lambda: in_flight(server) >= ITEMS_IN_FLIGHT)
        for _ in range(20):
            under_way.append(in_flight(server))
            time.sleep(0.02)
        call.cancel()

    assert max(under_way) <= ITEMS_IN_FLIGHT + ONE_BYSTANDER


@pytest.mark.case(45)
def test_callers_who_leave_free_their_places(server: Server) -> None:
    slow = slow_jpeg()
    with grpc.insecure_channel(server.address) as channel:
        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
        contents = (pb.Content(image=slow + b"%d" % number) for number in range(CALLERS))
        calls = [stub.Moderate.future(pb.ModerateRequest(content=one)) for one in contents]
        until(lambda: in_flight(server) >= CALLERS)
        left = time.monotonic()
        for call in calls:
            call.cancel()
        until(lambda: in_flight(server) <= ONE_BYSTANDER)

    assert time.monotonic() - left < AT_ONCE_S, "they were decoded for nobody"


def in_flight(server: Server) -> float:
    return server.metrics()["moderation_in_flight"]
