"""Who may call what, asked of a real server: every RPC with every kind of credential."""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import grpc
import pytest
from cryptography import x509
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status.rpc_status import from_call

from moderation.adapters.grpc.access import ROLE_BY_METHOD
from moderation.client import AsyncModerationClient, CallRefused
from moderation.core.identity import Role
from moderation.v1 import moderation_pb2 as pb
from moderation.v1.moderation_pb2_grpc import ModerationServiceStub
from tests.adapters.decision_log.logs import read
from tests.adapters.identity.keys import KeysForTests
from tests.adapters.identity.tokens import AUDIENCE, ISSUER, Issuer
from tests.certificates import HERE, Authority, Folder, put
from tests.cli.command import moderation
from tests.e2e.server import Server, running_server, until

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
POLICIES = ROOT / "policies"
CAT = pb.Content(image=(ROOT / "samples" / "cat-portrait.jpg").read_bytes())
PATIENCE_S = 20.0
MODULES = ROOT / "examples" / "node" / "node_modules"
NO_NODE = "needs node, and `npm ci` in examples/node"
SERVICE = "/moderation.v1.ModerationService"
METHODS = {
    f"/{service.full_name}/{method.name}": method
    for module in (pb, health_pb2, reflection_pb2)
    for service in module.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""Every RPC that the server offers, by path."""
REQUESTS: dict[str, Message] = {
    f"{SERVICE}/Moderate": pb.ModerateRequest(content=CAT),
    f"{SERVICE}/ModerateBatch": pb.ModerateBatchRequest(contents=[CAT]),
    f"{SERVICE}/ModerateStream": pb.ModerateStreamRequest(content=CAT),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (
        reflection_pb2.ServerReflectionRequest(list_services="")
    ),
}
"""What a right caller asks; of other methods, an empty message."""
OTHER_ROLE = {Role.MODERATE: Role.READ, Role.READ: Role.MODERATE}
OPEN = {f"/grpc.health.v1.Health/{name}" for name in ("Check", "List", "Watch")}
ROLES = {path: ROLE_BY_METHOD.get(path) for path in METHODS if path not in OPEN}


class Shown(StrEnum):
    """What a call shows."""

    NOTHING = "no credential"
    UNKNOWN = "unknown"
    EXPIRED = "expired"
    REVOKED = "revoked"
    WRONG_TENANT = "wrong tenant"
    WRONG_ROLE = "wrong role"
    RIGHT = "right"
    ADMIN = "admin"


CODES = {
    Shown.NOTHING: grpc.StatusCode.UNAUTHENTICATED,
    Shown.UNKNOWN: grpc.StatusCode.UNAUTHENTICATED,
    Shown.EXPIRED: grpc.StatusCode.UNAUTHENTICATED,
    Shown.REVOKED: grpc.StatusCode.UNAUTHENTICATED,
    Shown.WRONG_TENANT: grpc.StatusCode.PERMISSION_DENIED,
    Shown.WRONG_ROLE: grpc.StatusCode.PERMISSION_DENIED,
    Shown.RIGHT: grpc.StatusCode.OK,
    Shown.ADMIN: grpc.StatusCode.OK,
}
REFUSALS = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}


@dataclass(frozen=True)
class Certified:
    """A server that takes clients' certificates as credentials, and a channel for each kind."""

    server: Server
    keys: KeysForTests
    by_id: dict[str, grpc.Channel]
    """By the id of the certificate in the file of keys; of others, by what is said of them."""

    def channel(self, shown: Shown, role: Role) -> grpc.Channel:
        """A connection that was made with a certificate of this kind."""
        by_kind = {
            Shown.NOTHING: "nameless",
            Shown.UNKNOWN: "unmapped",
            Shown.EXPIRED: "pod-old",
            Shown.REVOKED: "pod-gone",
            Shown.WRONG_ROLE: f"pod-{OTHER_ROLE.get(role)}",
            Shown.ADMIN: "pod-admin",
        }
        return self.by_id[by_kind.get(shown, f"pod-{role}")]


def uri_of(certificate_id: str) -> str:
    return f"spiffe://shop.example/{certificate_id}"


CERTIFICATES = {
    **{f"pod-{role}": f"roles: [{role}]" for role in Role},
    "pod-old": "roles: [admin], expires: 2020-01-01",
    "pod-gone": "roles: [admin], revoked: 2020-01-01",
    "pod-passing": "roles: [read]",
}
"""What the file of keys says of those of the shop, by id."""


@pytest.fixture(scope="module")
def certified() -> Iterator[Certified]:
    with TemporaryDirectory() as name, ExitStack() as stack:
        ours, folder = Authority(), Folder(Path(name))
        folder.hold(ours.issue())
        put(folder.client_ca, ours.pem)
        keys = KeysForTests(folder.path / "keys.yaml")
        shops = "".join(
            f"\n      {one}: {{uri: '{uri_of(one)}', {says}}}" for one, says in CERTIFICATES.items()
        )
        written = keys.path.read_text().replace("  bank:", f"    certificates:{shops}\n  bank:")
        put(keys.path, written.encode())
        env = {
            "MODERATION_IDENTITY__KEYS_FILE": str(keys.path),
            "MODERATION_TLS__CERTIFICATE_FILE": str(folder.certificate),
            "MODERATION_TLS__KEY_FILE": str(folder.key),
            "MODERATION_TLS__CLIENT_CERTIFICATES": "require",
            "MODERATION_TLS__CLIENT_CA_FILE": str(folder.client_ca),
        }
        server = stack.enter_context(running_server(POLICIES, "--device", "cpu", env=env))
        uris = {one: [x509.UniformResourceIdentifier(uri_of(one))] for one in CERTIFICATES}
        pairs = {one: ours.issue("", names=names) for one, names in uris.items()}
        pairs |= {"nameless": ours.issue("", names=HERE[1:]), "unmapped": ours.issue("unmapped")}
        by_id = {
            one: stack.enter_context(grpc.secure_channel(server.address, ours.trusted(pair)))
            for one, pair in pairs.items()
        }
        yield Certified(server, keys, by_id)


class Scheme(StrEnum):
    """How a caller shows who it is."""

    KEY = "API key"
    TOKEN = "JWT"


@dataclass
class Guarded:
    """A server with keys and an issuer of tokens, and a channel to it."""

    server: Server
    channel: grpc.Channel
    keys: KeysForTests
    issuer: Issuer
    jwks: Path

    def credential(self, scheme: Scheme, shown: Shown, role: Role) -> str:
        """What is sent, empty if nothing is."""
        make = self._key if scheme is Scheme.KEY else self._token
        return "" if shown is Shown.NOTHING else make(shown, role)

    def _key(self, shown: Shown, role: Role) -> str:
        by_kind = {
            Shown.UNKNOWN: self.keys.unknown,
            Shown.EXPIRED: self.keys.expired,
            Shown.REVOKED: self.keys.revoked,
            Shown.WRONG_ROLE: self.keys.of(OTHER_ROLE[role]),
            Shown.ADMIN: self.keys.of(Role.ADMIN),
        }
        return by_kind.get(shown) or self.keys.of(role)

    def _token(self, shown: Shown, role: Role) -> str:
        """The issuer signs with `first`; it has withdrawn `second`."""
        right = self.issuer.token
        by_kind = {
            Shown.UNKNOWN: lambda: Issuer().token(role),
            Shown.EXPIRED: lambda: right(role, exp=time.time() - 60),
            Shown.REVOKED: lambda: right(role, kid="second"),
            Shown.WRONG_ROLE: lambda: right(OTHER_ROLE[role]),
            Shown.ADMIN: lambda: right(Role.ADMIN),
        }
        return by_kind.get(shown, lambda: right(role))()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    with TemporaryDirectory() as folder:
        keys = KeysForTests(Path(folder) / "keys.yaml")
        issuer, jwks = Issuer(), Path(folder) / "jwks.json"
        issuer.publish(jwks, "first")
        env = {
            "MODERATION_IDENTITY__KEYS_FILE": str(keys.path),
            "MODERATION_IDENTITY__JWKS_FILE": str(jwks),
            "MODERATION_IDENTITY__JWT_ISSUER": ISSUER,
            "MODERATION_IDENTITY__JWT_AUDIENCE": AUDIENCE,
        }
        with (
            running_server(
                POLICIES, "--device", "cpu", "--decision-log", f"{folder}/log", env=env
            ) as server,
            grpc.insecure_channel(server.address) as channel,
        ):
            yield Guarded(server, channel, keys, issuer, jwks)


def metadata_for(
    guarded: Guarded, shown: Shown, role: Role, scheme: Scheme = Scheme.KEY
) -> list[tuple[str, str]]:
    token = guarded.credential(scheme, shown, role)
    credential = [("authorization", f"Bearer {token}")] if token else []
    return [*credential, *([("x-tenant", "bank")] if shown is Shown.WRONG_TENANT else [])]


def code_of(channel: grpc.Channel, path: str, metadata: Sequence[tuple[str, str]]) -> object:
    """The status with which a call of this method ends, after its first answer."""
    method: MethodDescriptor = METHODS[path]
    request = REQUESTS.get(path) or GetMessageClass(method.input_type)()
    answers: Any = channel.stream_stream(
        path, request_serializer=lambda one: one.SerializeToString(), response_deserializer=bytes
    )(iter([request]), metadata=tuple(metadata), timeout=PATIENCE_S)
    try:
        next(answers)
    except grpc.RpcError:
        return answers.code()
    finally:
        answers.cancel()
    return grpc.StatusCode.OK


def test_every_method_is_open_or_has_a_role() -> None:
    assert METHODS.keys() == OPEN | ROLE_BY_METHOD.keys()


@pytest.mark.case(85, 87)
@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("shown", Shown)
@pytest.mark.parametrize("path", sorted(METHODS))
def test_every_method_with_every_kind_of_credential(
    guarded: Guarded, path: str, shown: Shown, scheme: Scheme
) -> None:
    role = ROLES.get(path) or Role.MODERATE
    metadata = metadata_for(guarded, shown, role, scheme)

    code = code_of(guarded.channel, path, metadata)

    if path in OPEN:
        assert code not in REFUSALS
    else:
        assert code is CODES[shown]


@pytest.mark.case(85, 87)
@pytest.mark.parametrize("shown", Shown)
@pytest.mark.parametrize("path", sorted(METHODS))
def test_every_method_with_every_kind_of_certificate(
    certified: Certified, path: str, shown: Shown
) -> None:
    role = ROLES.get(path) or Role.MODERATE
    claim = [("x-tenant", "bank")] if shown is Shown.WRONG_TENANT else []

    code = code_of(certified.channel(shown, role), path, claim)

    if path in OPEN:
        assert code not in REFUSALS
    else:
        assert code is CODES[shown]


@pytest.mark.case(87)
def test_a_key_is_not_taken_from_a_connection_of_another_tenant(certified: Certified) -> None:
    pod = certified.by_id["pod-read"]

    def code(channel: grpc.Channel, key: str) -> object:
        return code_of(channel, f"{SERVICE}/Moderate", [("x-api-key", key)])

    # The key decides what may be done, and no certificate that nobody mapped is in its way.
    assert code(pod, certified.keys.of(Role.MODERATE)) is grpc.StatusCode.OK
    assert code(certified.by_id["unmapped"], certified.keys.of_flood) is grpc.StatusCode.OK
    assert code(pod, certified.keys.of_flood) is grpc.StatusCode.PERMISSION_DENIED
    assert code(pod, certified.keys.unknown) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.case(88, 93)
def test_a_certificate_is_withdrawn_without_a_restart_and_that_is_told(
    certified: Certified,
) -> None:
    def code() -> object:
        return code_of(certified.by_id["pod-passing"], f"{SERVICE}/GetStatus", [])

    before = code()
    certified.keys.revoke("pod-passing")
    until(lambda: code() is grpc.StatusCode.UNAUTHENTICATED)
    while certified.server.wait_for("access_refused")["credential"] != "pod-passing":
        pass

    assert before is grpc.StatusCode.OK
    with urllib.request.urlopen(certified.server.metrics_url) as page:
        metrics = page.read().decode()
    assert re.search(r'moderation_auth_refusals_total{reason="revoked"} [1-9]', metrics)


@pytest.mark.case(93)
def test_refusals_are_counted_and_logged_without_secrets(guarded: Guarded) -> None:
    for shown in Shown:
        metadata = metadata_for(guarded, shown, Role.READ)
        code_of(guarded.channel, f"{SERVICE}/GetStatus", metadata)
    with urllib.request.urlopen(guarded.server.metrics_url) as page:
        metrics = page.read().decode()
    while guarded.server.wait_for("access_refused")["reason"] != "wrong_role":
        pass

    for reason in ("no_credential", "unknown", "expired", "revoked", "wrong_role", "wrong_tenant"):
        assert re.search(rf'moderation_auth_refusals_total{{reason="{reason}"}} [1-9]', metrics)
    told = [one for one in guarded.server.events if one["event"] == "access_refused"]
    assert {"shop-old", "shop-gone", "shop-moderate"} <= {one["credential"] for one in told}
    everything = metrics + json.dumps(guarded.server.events)
    assert not [secret for secret in guarded.keys.secrets if secret in everything]


@pytest.mark.case(88)
def test_keys_are_rotated_without_a_restart(guarded: Guarded) -> None:
    def code(token: str) -> object:
        metadata = [("x-api-key", token)]
        return code_of(guarded.channel, f"{SERVICE}/GetStatus", metadata)

    old = guarded.keys.create("rotated-1", Role.READ)
    until(lambda: code(old) is grpc.StatusCode.OK)
    new = guarded.keys.create("rotated-2", Role.READ)
    until(lambda: code(new) is grpc.StatusCode.OK)
    assert code(old) is grpc.StatusCode.OK
    guarded.keys.revoke("rotated-1")
    until(lambda: code(old) is grpc.StatusCode.UNAUTHENTICATED)

    assert code(new) is grpc.StatusCode.OK


@pytest.mark.case(88)
def test_the_keys_of_the_issuer_are_rotated_without_a_restart(guarded: Guarded) -> None:
    def code(kid: str) -> object:
        metadata = [("authorization", f"Bearer {guarded.issuer.token(Role.READ, kid=kid)}")]
        return code_of(guarded.channel, f"{SERVICE}/GetStatus", metadata)

    assert (code("first"), code("second")) == (
        grpc.StatusCode.OK,
        grpc.StatusCode.UNAUTHENTICATED,
    )
    guarded.issuer.publish(guarded.jwks, "second")
    until(lambda: code("second") is grpc.StatusCode.OK)
    refused = code("first")
    guarded.issuer.publish(guarded.jwks, "first")
    until(lambda: code("first") is grpc.StatusCode.OK)

    assert refused is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.case(52)
def test_one_tenant_over_its_rate_is_refused_and_no_other(guarded: Guarded) -> None:
    stub = ModerationServiceStub(guarded.channel)
    request = pb.ModerateRequest(content=CAT)
    slow = (("authorization", f"Bearer {guarded.keys.of_slow}"),)
    shop = (("authorization", f"Bearer {guarded.keys.of(Role.MODERATE)}"),)

    for _ in range(2):
        stub.Moderate(request, metadata=slow)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Moderate(request, metadata=slow)
    answers = [stub.Moderate(request, metadata=shop) for _ in range(5)]

    status = from_call(caught.value)  # type: ignore[arg-type]  # an error is a call here
    assert status is not None
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    retry = error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(retry)
    assert 0 < retry.retry_delay.seconds <= 10
    assert all(answer.decision.decision_id for answer in answers)
    with urllib.request.urlopen(guarded.server.metrics_url) as page:
        metrics = page.read().decode()
    assert 'moderation_tenant_shed_total{tenant="slow"} 1.0' in metrics
    assert 'moderation_tenant_shed_total{tenant="shop"} 0.0' in metrics


@pytest.mark.case(87)
def test_a_tenant_that_floods_the_service_is_turned_away_and_no_other(guarded: Guarded) -> None:
    stub = ModerationServiceStub(guarded.channel)
    flood = (("authorization", f"Bearer {guarded.keys.of_flood}"),)
    shop = (("authorization", f"Bearer {guarded.keys.of(Role.MODERATE)}"),)

    def request(number: int) -> pb.ModerateRequest:
        """Of a picture that was never seen: what stands behind its end is not decoded."""
        return pb.ModerateRequest(content=pb.Content(image=CAT.image + number.to_bytes(4)))

    flooding = [stub.Moderate.future(request(number), metadata=flood) for number in range(64)]
    answers = [stub.Moderate(request(100 + number), metadata=shop) for number in range(8)]
    codes = Counter(call.code() for call in flooding)

    assert all(answer.decision.decision_id for answer in answers)
    assert codes.keys() == {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert codes[grpc.StatusCode.RESOURCE_EXHAUSTED] > codes[grpc.StatusCode.OK]


def test_the_decision_log_says_whose_request_it_was(guarded: Guarded) -> None:
    stub = ModerationServiceStub(guarded.channel)
    shop = (("authorization", f"Bearer {guarded.keys.of(Role.MODERATE)}"),)
    item = pb.ModerateStreamRequest(content=CAT)

    answer = stub.Moderate(pb.ModerateRequest(content=CAT), metadata=shop)
    (streamed,) = stub.ModerateStream(iter([item]), metadata=shop)

    tenants = {one.decision_id: one.tenant for one in read(guarded.keys.path.parent / "log")}
    assert tenants[answer.decision.decision_id] == "shop"
    assert tenants[streamed.result.decision.decision_id] == "shop"


def test_a_profile_of_other_tenants_is_refused(guarded: Guarded) -> None:
    stub = ModerationServiceStub(guarded.channel)
    request = pb.ModerateRequest(content=CAT)

    with pytest.raises(grpc.RpcError) as caught:
        stub.Moderate(request, metadata=(("x-api-key", guarded.keys.of_bank),))

    code: Any = caught.value
    assert code.code() is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.skipif(shutil.which("node") is None or not MODULES.exists(), reason=NO_NODE)
def test_a_client_in_node_shows_its_key(guarded: Guarded) -> None:
    picture = str(ROOT / "samples" / "wine-bottle-and-glass.jpg")

    def ended(key: str, target: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["node", "moderate.js", target, picture],
            cwd=MODULES.parent,
            env={**os.environ, "MODERATION_API_KEY": key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    key, address = guarded.keys.of(Role.MODERATE), guarded.server.address
    right, without, exposed = ended(key, address), ended("", address), ended(key, "10.0.0.1:1")
    assert "ACTION_BLOCK (alcohol)" in right.stdout
    assert "UNAUTHENTICATED" in without.stderr
    assert "in plain text" in exposed.stderr
    assert key not in right.stdout + right.stderr + exposed.stderr


async def test_the_python_client_and_the_command_show_their_key(guarded: Guarded) -> None:
    key, address = guarded.keys.of(Role.READ), guarded.server.address
    async with AsyncModerationClient(address, api_key=key) as client:
        status = await client.status()
    async with AsyncModerationClient(address) as client:
        with pytest.raises(CallRefused):
            await client.status()
    right = await moderation("status", "--address", address, env={"MODERATION_API_KEY": key})
    without = await moderation("status", "--address", address)

    assert status.serving
    assert (right.exit_code, without.exit_code) == (0, 77)


def test_a_broken_file_keeps_the_last_good_keys(guarded: Guarded) -> None:
    good = guarded.keys.path.read_text()
    guarded.keys.path.write_text("tenants: [")
    rejected = guarded.server.wait_for("keys_rejected")
    metadata = metadata_for(guarded, Shown.RIGHT, Role.READ)
    code = code_of(guarded.channel, f"{SERVICE}/GetStatus", metadata)
    guarded.keys.path.write_text(good)
    guarded.server.wait_for("keys_loaded")

    assert "keys.yaml:1:" in rejected["problem"]
    assert code is grpc.StatusCode.OK
