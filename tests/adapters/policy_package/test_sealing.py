"""Keys and signatures: what is taken, and every way in which it is not."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moderation.adapters.policy_package import (
    make_key_pair,
    read_private_key,
    read_public_keys,
    require_stated,
    seal,
    state,
    verify,
)
from moderation.adapters.policy_package.sealing import KIND
from moderation.core.errors import PolicySetRejected
from tests.certificates import a_key, key_pem

ARCHIVE = b"an archive"


@pytest.fixture
def pairs(tmp_path: Path) -> dict[str, tuple[Path, Path]]:
    found = {}
    for name in ("ours", "theirs"):
        found[name] = tmp_path / f"{name}.key", tmp_path / f"{name}.pub"
        make_key_pair(*found[name])
    return found


Pairs = dict[str, tuple[Path, Path]]


def sealed(pairs: Pairs, *names: str, archive: bytes = ARCHIVE) -> bytes:
    keys = [read_private_key(pairs[name][0]) for name in names or ("ours",)]
    return seal(state(archive, serial=7), keys)


def refusal(signature: bytes, pairs: Pairs) -> str:
    with pytest.raises(PolicySetRejected) as caught:
        verify(signature, read_public_keys([pairs["ours"][1]]), "p.sig")
    return str(caught.value)


def test_what_was_signed_holds(pairs: Pairs) -> None:
    verified = verify(sealed(pairs), read_public_keys([pairs["ours"][1]]), "p.sig")

    assert verified.statement.serial == 7
    require_stated(ARCHIVE, verified.statement, "p")


@pytest.mark.parametrize("archive", [b"an archivf", b"an archive ", b""])
def test_another_archive_is_refused(pairs: Pairs, archive: bytes) -> None:
    verified = verify(sealed(pairs), read_public_keys([pairs["ours"][1]]), "p.sig")

    with pytest.raises(PolicySetRejected, match="p: is not what was signed"):
        require_stated(archive, verified.statement, "p")


def test_one_of_several_keys_is_enough_on_either_side(pairs: Pairs) -> None:
    both = read_public_keys(public for _, public in pairs.values())
    ours = read_public_keys([pairs["ours"][1]])

    by_theirs = verify(sealed(pairs, "theirs"), both, "p.sig")
    by_both = verify(sealed(pairs, "theirs", "ours"), ours, "p.sig")

    assert by_theirs.key_id in both.keys() - ours.keys()
    assert by_both.key_id in ours


def test_a_stranger_is_named_beside_who_may_sign(pairs: Pairs) -> None:
    (ours,), (theirs,) = (read_public_keys([public]) for _, public in pairs.values())

    told = refusal(sealed(pairs, "theirs"), pairs)

    assert told == f"p.sig: is signed by key {theirs}, and the public keys that are set are {ours}"


def edited(signature: bytes, edit: Callable[[dict[str, Any]], object]) -> bytes:
    envelope = json.loads(signature)
    edit(envelope)
    return json.dumps(envelope).encode()


def with_serial(envelope: dict[str, Any]) -> None:
    payload = json.loads(base64.b64decode(envelope["payload"])) | {"serial": 8}
    envelope["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()


def with_another_sig(envelope: dict[str, Any]) -> None:
    envelope["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()


@pytest.mark.parametrize("edit", [with_serial, with_another_sig])
def test_an_altered_signature_does_not_hold(
    pairs: Pairs, edit: Callable[[dict[str, Any]], None]
) -> None:
    assert "was altered: its signature by key" in refusal(edited(sealed(pairs), edit), pairs)


def test_a_signature_of_something_else_does_not_hold(pairs: Pairs) -> None:
    """The same key, over the same statement, without saying that it is one of a package."""
    key = read_private_key(pairs["ours"][0])

    def sign_plainly(envelope: dict[str, Any]) -> None:
        payload = base64.b64decode(envelope["payload"])
        envelope["signatures"][0]["sig"] = base64.b64encode(key.sign(payload)).decode()

    assert "was altered" in refusal(edited(sealed(pairs), sign_plainly), pairs)


@pytest.mark.parametrize(
    "edit",
    [
        lambda one: one.update(signatures=[]),
        lambda one: one.update(signatures=one["signatures"] * 17),
        lambda one: one.update(payload="A"),
        lambda one: one.update(payloadType="text/plain"),
        lambda one: one.pop("payload"),
    ],
)
def test_what_is_no_signature_is_told(
    pairs: Pairs, edit: Callable[[dict[str, Any]], object]
) -> None:
    told = refusal(edited(sealed(pairs), edit), pairs)

    assert told == "p.sig: is not what `moderation policy pack` writes"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not what `moderation policy pack` writes"),
        (b"x" * 70_000, "is too large"),
        (b"[" * 60_000, "is not what `moderation policy pack` writes"),
    ],
)
def test_other_files_are_no_signatures(pairs: Pairs, content: bytes, told: str) -> None:
    assert told in refusal(content, pairs)


@pytest.mark.parametrize("payload", [b"{}", b'{"format": 2, "serial": 1}', b"\xff"])
def test_a_statement_of_a_later_version_is_told(pairs: Pairs, payload: bytes) -> None:
    key = read_private_key(pairs["ours"][0])
    signed = b"DSSEv1 %d %s %d %s" % (len(KIND), KIND.encode(), len(payload), payload)

    def state_otherwise(envelope: dict[str, Any]) -> None:
        envelope["payload"] = base64.b64encode(payload).decode()
        envelope["signatures"][0]["sig"] = base64.b64encode(key.sign(signed)).decode()

    told = refusal(edited(sealed(pairs), state_otherwise), pairs)

    assert "is signed, and states something that this version does not understand" in told


def test_only_its_owner_may_read_a_private_key(pairs: Pairs) -> None:
    modes = [path.stat().st_mode & 0o777 for path in pairs["ours"]]

    assert modes == [0o600, 0o644]


@pytest.mark.parametrize("there", [0, 1])
def test_no_key_is_ever_lost_to_another(tmp_path: Path, pairs: Pairs, there: int) -> None:
    paths = [tmp_path / "new.key", tmp_path / "new.pub"]
    paths[there].write_bytes(b"mine")

    with pytest.raises(FileExistsError):
        make_key_pair(*paths)

    assert paths[there].read_bytes() == b"mine"
    assert not paths[1 - there].exists()


def test_openssl_reads_the_keys_and_writes_such(tmp_path: Path, pairs: Pairs) -> None:
    private, public = pairs["ours"]
    command = ["openssl", "pkey", "-in", str(private), "-pubout"]
    derived = subprocess.run(command, capture_output=True, check=True).stdout

    assert derived == public.read_bytes()


def test_several_keys_may_be_in_one_file(pairs: Pairs) -> None:
    together = pairs["ours"][1]
    together.write_bytes(b"".join(public.read_bytes() for _, public in pairs.values()))

    assert len(read_public_keys([together])) == 2


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read: No such file"),
        (b"", "holds no public key in PEM"),
        (
            b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
            "holds a public key that cannot be read",
        ),
        ("another kind", "holds another kind of key; packages need Ed25519"),
    ],
)
def test_a_file_without_a_public_key_is_told(
    tmp_path: Path, content: bytes | str | None, told: str
) -> None:
    path = tmp_path / "x.pub"
    if isinstance(content, str):
        (tmp_path / "x.key").write_bytes(key_pem(a_key()))
        command = ["openssl", "pkey", "-in", str(tmp_path / "x.key"), "-pubout"]
        content = subprocess.run(command, capture_output=True, check=True).stdout
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(PolicySetRejected, match=told):
        read_public_keys([path])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is no private key in PEM"),
        (key_pem(a_key()), "is another kind of key"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_file_without_a_private_key_is_told(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    path = tmp_path / "x.key"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(PolicySetRejected, match=told):
        read_private_key(path)


def test_a_private_key_is_no_public_one(tmp_path: Path) -> None:
    path = tmp_path / "x.pub"
    path.write_bytes(key_pem(Ed25519PrivateKey.generate()))

    with pytest.raises(PolicySetRejected, match="holds no public key"):
        read_public_keys([path])
