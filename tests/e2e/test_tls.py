"""A real server with mutual TLS, as clients, strangers and whoever replaces its files meet it."""

import shutil
import socket
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client.parser import text_string_to_metric_families

from moderation.v1 import moderation_pb2 as pb
from moderation.v1 import moderation_pb2_grpc
from tests.certificates import Authority, Folder, Pair, put
from tests.e2e.server import PATIENCE_S, Server, running_server, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
NODE = ROOT / "examples" / "node"
MODULES = NODE / "node_modules"
NO_NODE = "not installed: node, or its packages (npm ci --ignore-scripts in examples/node)"
CAT = (ROOT / "samples" / "cat-portrait.jpg").read_bytes()
OURS = Authority()
CLIENT = OURS.issue("client")
ROTATIONS = 5
OK, UNAVAILABLE = grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE


@dataclass(frozen=True)
class Secured:
    """The server, and the folder of its certificates."""

    server: Server
    folder: Folder

    def channel(self, *, by: Pair | None = CLIENT) -> grpc.Channel:
        """A connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.secure_channel(self.address, OURS.trusted(by), options)

    @property
    def address(self) -> str:
        """It listens on every address; the certificate is for this one."""
        return self.server.address.replace("0.0.0.0", "127.0.0.1")

    def serial(self) -> str:
        """Of the certificate that a new connection is shown."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=OURS.pem.decode())
        context.set_alpn_protocols(["h2"])
        host, port = self.address.split(":")
        with (
            socket.create_connection((host, int(port)), timeout=PATIENCE_S) as raw,
            context.wrap_socket(raw, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
        assert shown is not None
        return f"{x509.load_der_x509_certificate(shown).serial_number:x}"

    def metrics(self) -> dict[str, float]:
        """Those of TLS, by name, or by the label that says of which certificate."""
        with urllib.request.urlopen(self.server.metrics_url, timeout=PATIENCE_S) as answer:
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = [sample for family in families for sample in family.samples]
        tls = [one for one in samples if one.name.startswith("moderation_tls_")]
        return {one.labels.get("certificate") or one.name: one.value for one in tls}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = Folder(tmp_path_factory.mktemp("tls"))
    folder.hold(OURS.issue())
    put(folder.client_ca, OURS.pem)
    flags = ["--host", "0.0.0.0", "--tls-certificate", folder.certificate, "--tls-key", folder.key]
    flags += ["--client-ca", folder.client_ca]
    with running_server(ROOT / "policies", *map(str, flags)) as server:
        yield Secured(server, folder)


@dataclass
class Bystander:
    """Somebody who asks all the time, over one old connection and over new ones."""

    secured: Secured
    answers: int = 0
    failures: list[grpc.StatusCode] = field(default_factory=list)
    _done: threading.Event = field(default_factory=threading.Event)

    def ask_on(self) -> None:
        request = pb.ModerateRequest(content=pb.Content(image=CAT))
        with self.secured.channel() as old:
            while not self._done.wait(0.01):
                with self.secured.channel() as new:
                    for channel in (old, new):
                        stub = moderation_pb2_grpc.ModerationServiceStub(channel)
                        code = stub.Moderate.future(request, timeout=PATIENCE_S).code()
                        self.answers += 1
                        if code is not OK:
                            self.failures.append(code)

    def stop(self) -> None:
        self._done.set()


@pytest.fixture
def bystander(secured: Secured) -> Iterator[Bystander]:
    asking = Bystander(secured)
    thread = threading.Thread(target=asking.ask_on)
    thread.start()
    try:
        until(lambda: asking.answers > 0)
        yield asking
    finally:
        asking.stop()
        thread.join()
    assert asking.failures == []


def code_of(channel: grpc.Channel) -> grpc.StatusCode:
    with channel:
        stub = health_pb2_grpc.HealthStub(channel)
        call = stub.Check.future(health_pb2.HealthCheckRequest(), timeout=PATIENCE_S)
        code: grpc.StatusCode = call.code()
        return code


@pytest.mark.case(42, 86)
def test_strangers_are_kept_out_and_nobody_else_notices(
    secured: Secured, bystander: Bystander
) -> None:
    other = Authority("somebody else").issue("client")
    expired = OURS.issue("client", days=-1)

    assert code_of(grpc.insecure_channel(secured.address)) is UNAVAILABLE
    assert [code_of(secured.channel(by=one)) for one in (None, other, expired)] == [UNAVAILABLE] * 3
    assert code_of(secured.channel()) is OK


@pytest.mark.case(94)
def test_an_address_for_everybody_tells_nobody_what_it_offers(secured: Secured) -> None:
    methods = (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "/grpc.channelz.v1.Channelz/GetServers",
    )
    with secured.channel() as channel:
        for method in methods:
            ask = channel.unary_unary(method, bytes, bytes)
            assert ask.future(b"", timeout=PATIENCE_S).code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_supervisor_needs_no_certificate_to_ask_whether_it_is_ready(secured: Secured) -> None:
    where = urlsplit(secured.server.metrics_url).netloc
    command = [sys.executable, "-m", "moderation", "health", "--metrics-address", where]

    asked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert (asked.returncode, asked.stdout, asked.stderr) == (0, "ready\n", "")


@pytest.mark.skipif(shutil.which("node") is None or not MODULES.exists(), reason=NO_NODE)
def test_a_client_in_node_shows_its_certificate(secured: Secured, tmp_path: Path) -> None:
    ca, certificate = put(tmp_path / "ca.crt", OURS.pem), put(tmp_path / "client.crt", CLIENT.pem)
    key = put(tmp_path / "client.key", CLIENT.key_pem)
    picture = str(ROOT / "samples" / "cat-portrait.jpg")
    flags = ["--ca", str(ca), "--cert", str(certificate), "--key", str(key)]

    def judged(*flags: str) -> str:
        command = ["node", "moderate.js", *flags, secured.address, picture]
        asked = subprocess.run(
            command, cwd=NODE, capture_output=True, text=True, timeout=60, check=True
        )
        return asked.stdout

    assert "ACTION_ALLOW (no policy)" in judged(*flags)
    assert "ACTION_REVIEW" in judged(*flags[:2])


def test_certificates_are_replaced_under_load_without_a_failed_request(
    secured: Secured, bystander: Bystander
) -> None:
    for _ in range(ROTATIONS):
        new, before = OURS.issue(), bystander.answers
        secured.folder.hold(new)
        until(lambda serial=new.serial: secured.serial() == serial)  # type: ignore[misc]
        until(lambda before=before: bystander.answers > before)  # type: ignore[misc]

    metrics = secured.metrics()
    assert metrics["server"] == new.certificate.not_valid_after_utc.timestamp()
    assert metrics["moderation_tls_reload_failures_total"] == 0


def test_a_broken_replacement_keeps_the_last_good_pair_and_says_so(
    secured: Secured, bystander: Bystander
) -> None:
    before, failures = secured.serial(), secured.metrics()["moderation_tls_reload_failures_total"]
    assert code_of(secured.channel(by=None)) is UNAVAILABLE
    put(secured.folder.key, OURS.issue().key_pem)
    told = secured.server.wait_for("certificates_rejected")
    broken = secured.metrics()

    assert secured.serial() == before
    assert f"tls.key_file: {secured.folder.key}: is not the key of" in told["reason"]
    assert "not JSON" not in {event["event"] for event in secured.server.events}
    assert broken["moderation_tls_reload_failed"] == 1
    assert broken["moderation_tls_reload_failures_total"] == failures + 1

    mended = OURS.issue()
    secured.folder.hold(mended)
    until(lambda: secured.serial() == mended.serial)
    assert secured.metrics()["moderation_tls_reload_failed"] == 0
