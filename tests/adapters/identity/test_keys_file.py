"""What a file of keys means, and how its mistakes are told."""

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from moderation.adapters.identity.keys_file import MAX_FILE_BYTES, KeysFile
from moderation.adapters.identity.schema import KeysSchema
from moderation.adapters.policy_yaml.models import read_model
from moderation.core.errors import KeysRejected
from moderation.core.identity import (
    CertificateName,
    NameKind,
    Role,
    TenantLimits,
    digest_of,
)

DIGEST = digest_of("a key")
HASH = f"sha256:{DIGEST.hex()}"
ONE_KEY = f"tenants: {{shop: {{keys: {{shop-1: {{hash: '{HASH}', roles: [moderate]}}}}}}}}\n"


def keys_in(path: Path, text: str | bytes = ONE_KEY) -> KeysFile:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return KeysFile(path, partial(read_model, KeysSchema))


def problems(keys: KeysFile) -> str:
    with pytest.raises(KeysRejected) as caught:
        keys.load()
    return str(caught.value)


def test_a_file_says_whose_keys_there_are(tmp_path: Path) -> None:
    text = f"""
tenants:
  shop:
    profiles: [default, strict]
    keys:
      shop-1:
        hash: {HASH}
        roles: [moderate, read]
        created: 2026-01-01
        expires: 2027-03-01
      shop-2: {{hash: '{HASH}', roles: [admin], revoked: '2026-05-01T10:00:00+02:00'}}
  bank: {{}}
"""
    ring = keys_in(tmp_path / "keys.yaml", text).load().ring

    assert ring.tenants["shop"].profiles == frozenset({"default", "strict"})
    assert ring.tenants["bank"].profiles is None
    first, second = ring.keys["shop-1"], ring.keys["shop-2"]
    assert first.tenant is ring.tenants["shop"]
    assert first.roles == frozenset({Role.MODERATE, Role.READ})
    assert (first.digest, first.expires) == (DIGEST, datetime(2027, 3, 1, tzinfo=UTC))
    assert (first.is_revoked, second.is_revoked) == (False, True)


@pytest.mark.parametrize(("mode", "is_exposed"), [(0o600, False), (0o640, False), (0o644, True)])
def test_a_file_that_everybody_can_read_is_told(
    tmp_path: Path, mode: int, is_exposed: bool
) -> None:
    keys = keys_in(tmp_path / "keys.yaml")
    keys.path.chmod(mode)

    assert keys.load().is_exposed is is_exposed


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "keys.yaml: the file is empty"),
        ("tenants:\n  shop: {keys: {a: {roles: [read]}}}", ":2:17: tenants.shop.keys.a.hash"),
        ("tenants: {shop: {key: {}}}", ":1:18: tenants.shop: unknown key 'key'; did you mean keys"),
        ("tenants: {Shop: {}}", ":1:11: tenants.Shop: the name must be lower-case"),
        (ONE_KEY.replace("moderate]", "owner]"), "roles[1]: Input should be 'moderate', 'read'"),
        (ONE_KEY.replace("[moderate]", "[]"), "must not be empty"),
        (ONE_KEY.replace("roles", "expires: soon, roles"), "must be a day, as 2027-03-01"),
        (ONE_KEY.replace("roles", "expires: 2027-02-30, roles"), "must be a day, as 2027-03-01"),
        (ONE_KEY.replace("roles", "expires: 2027-03-01T10:00, roles"), "must be a day"),
        ("tenants: {a: &x {}, b: *x}", "the anchor &x is not allowed"),
        ("tenants: {a: {}, a: {}}", "the key 'a' is already on line 1"),
        ("tenants: {a: [}", "is not valid YAML"),
        (b"tenants: \xff", ":1:10: byte 0xff is not UTF-8"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path: Path, text: str | bytes, told: str) -> None:
    assert told in problems(keys_in(tmp_path / "keys.yaml", text))


def test_a_key_that_was_written_in_the_place_of_its_hash_is_not_shown(tmp_path: Path) -> None:
    told = problems(keys_in(tmp_path / "keys.yaml", ONE_KEY.replace(HASH, "mod_shop-1_secret")))

    assert "keys.shop-1.hash: must be sha256: and 64 hexadecimal digits" in told
    assert "secret" not in told


def test_one_key_cannot_belong_to_two_tenants(tmp_path: Path) -> None:
    key = f"{{keys: {{one: {{hash: '{HASH}', roles: [read]}}}}}}"
    told = problems(keys_in(tmp_path / "keys.yaml", f"tenants: {{shop: {key}, bank: {key}}}"))

    assert "the key one is there twice, for shop and bank" in told


def test_a_file_says_whose_certificates_there_are(tmp_path: Path) -> None:
    text = """
tenants:
  shop:
    certificates:
      shop-pod: {uri: 'spiffe://cluster/ns/Shop', roles: [moderate]}
      shop-host: {dns: Pod.Shop.Example, roles: [read], expires: 2027-03-01}
  bank:
    certificates:
      bank-old: {common_name: Bank uploads, roles: [admin], revoked: 2026-05-01}
"""
    ring = keys_in(tmp_path / "keys.yaml", text).load().ring

    by_id = {one.id: one for one in ring.certificates.values()}
    assert {name: one.name for name, one in by_id.items()} == {
        "shop-pod": CertificateName(NameKind.URI, "spiffe://cluster/ns/Shop"),
        "shop-host": CertificateName(NameKind.DNS, "pod.shop.example"),
        "bank-old": CertificateName(NameKind.COMMON_NAME, "Bank uploads"),
    }
    assert all(ring.certificates[one.name] is one for one in by_id.values())
    assert by_id["shop-host"].expires == datetime(2027, 3, 1, tzinfo=UTC)
    assert (by_id["shop-pod"].is_revoked, by_id["bank-old"].is_revoked) == (False, True)
    assert by_id["bank-old"].tenant is ring.tenants["bank"]


POD = "pod: {uri: 'spiffe://a/b', roles: [read]}"


@pytest.mark.parametrize(
    ("tenants", "told"),
    [
        ("shop: {certificates: {a: {roles: [read]}}}", "must have one of uri, dns and common_name"),
        (
            "shop: {certificates: {a: {uri: 'spiffe://a', dns: a, roles: [read]}}}",
            "must have one of uri, dns and common_name",
        ),
        ("shop: {certificates: {a: {dns: '', roles: [read]}}}", "dns"),
        (
            f"shop: {{certificates: {{{POD}}}}}, bank: {{certificates: {{{POD}}}}}",
            "the id pod is there twice, for shop and bank",
        ),
        (
            f"shop: {{certificates: {{{POD}}}}}, bank: {{certificates: {{other-{POD}}}}}",
            "the certificate uri:spiffe://a/b is there twice, for shop and bank",
        ),
        (
            f"shop: {{keys: {{pod: {{hash: '{HASH}', roles: [read]}}}}, certificates: {{{POD}}}}}",
            "the id pod is there twice, for shop and shop",
        ),
    ],
)
def test_a_certificate_that_says_nothing_clear_is_told(
    tmp_path: Path, tenants: str, told: str
) -> None:
    assert told in problems(keys_in(tmp_path / "keys.yaml", f"tenants: {{{tenants}}}"))


def test_what_is_no_file_of_a_bearable_size_is_told(tmp_path: Path) -> None:
    too_large = keys_in(tmp_path / "large.yaml", b"#" * (MAX_FILE_BYTES + 1))
    os.mkfifo(tmp_path / "pipe")

    assert "is too large" in problems(too_large)
    assert "cannot be read: No such file" in problems(KeysFile(tmp_path / "none", _unused))
    assert "cannot be read: Is a directory" in problems(KeysFile(tmp_path, _unused))
    assert "is not a file" in problems(KeysFile(tmp_path / "pipe", _unused))


def _unused(content: bytes, file: str) -> KeysSchema:
    raise AssertionError(file)


def test_limits_of_a_tenant(tmp_path: Path) -> None:
    limits = "max_in_flight: 8, max_in_flight_bytes: 1000, requests_per_s: 0.5, burst: 3, share: 1"
    text = f"tenants: {{shop: {{limits: {{{limits}}}}}, bank: {{}}}}"

    tenants = keys_in(tmp_path / "keys.yaml", text).load().ring.tenants

    assert tenants["shop"].limits == TenantLimits(8, 1000, 0.5, 3.0, 1.0)
    assert tenants["bank"].limits == TenantLimits()


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        ("max_in_flight: 0", "limits.max_in_flight: Input should be greater than or equal to 1"),
        ("max_in_flight: 1.5", "limits.max_in_flight: Input should be a valid integer"),
        ("requests_per_s: 0", "limits.requests_per_s: Input should be greater than 0"),
        ("requests_per_s: .inf", "limits.requests_per_s: Input should be a finite number"),
        ("share: 1.1", "limits.share: Input should be less than or equal to 1"),
        ("rate: 1", "limits: unknown key 'rate'"),
    ],
)
def test_a_limit_that_cannot_be_is_told(tmp_path: Path, limits: str, told: str) -> None:
    text = f"tenants: {{shop: {{limits: {{{limits}}}}}}}"

    assert told in problems(keys_in(tmp_path / "keys.yaml", text))


def test_what_did_not_change_is_the_same_and_what_changed_is_not(tmp_path: Path) -> None:
    keys = keys_in(tmp_path / "keys.yaml")

    first, again = keys.load(), keys.load()
    by_another = KeysFile(keys.path, partial(read_model, KeysSchema)).load()
    keys.path.write_text(ONE_KEY.replace("moderate", "read"))

    assert first.ring is again.ring
    assert first == by_another
    assert keys.load() != first
