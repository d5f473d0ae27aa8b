"""A token counts if its issuer signed it, for us, for now; nothing else does."""

import base64
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moderation.adapters.identity.jwks import signing_keys
from moderation.adapters.identity.tokens import TokenAuthenticator
from moderation.core.errors import AccessReason, PermissionDenied, Unauthenticated
from moderation.core.identity import Role, Tenant
from tests.adapters.identity.tokens import RULES, Issuer
from tests.builders import NOON

ISSUER = Issuer()
SHOP = Tenant("shop", frozenset({"strict"}))


class Verifier:
    """An authenticator, and how often it missed a key."""

    def __init__(self, *names: str, with_tenants: bool = True) -> None:
        self.keys = signing_keys(ISSUER.jwks(*names), "jwks.json")
        self.missed = 0
        self.tokens = TokenAuthenticator(
            RULES,
            keys=lambda: self.keys,
            tenants=(lambda: {"shop": SHOP}) if with_tenants else None,
            missing=self._miss,
        )

    def _miss(self) -> None:
        self.missed += 1


def unsigned(header: dict[str, str], payload: dict[str, object]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(one).encode()) for one in (header, payload)]
    return ".".join([*(part.rstrip(b"=").decode() for part in parts), ""])


def signed_by_the_public_key() -> str:
    """The classic confusion: the public key taken for the secret of an HMAC."""
    pem = ISSUER.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    body = unsigned({"alg": "HS256", "kid": "first"}, {"tenant": "shop"}).rstrip(".")
    signature = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    mac = base64.urlsafe_b64encode(signature.sign(body.encode(), pem)).rstrip(b"=").decode()
    return f"{body}.{mac}"


def without_algorithm() -> str:
    payload = jwt.decode(ISSUER.token("admin"), options={"verify_signature": False})
    return unsigned({"alg": "none", "kid": "first"}, payload)


def with_another_body() -> str:
    first, second = ISSUER.token("read"), ISSUER.token("admin")
    header, _, signature = first.split(".")
    return ".".join([header, second.split(".")[1], signature])


@pytest.mark.parametrize("kid", ["first", "second"])
def test_a_right_token_says_who_calls(kid: str) -> None:
    caller = Verifier().tokens.caller_with(ISSUER.token("read", "others", kid=kid), NOON)

    assert (caller.tenant, caller.credential) == (SHOP, f"jwt:{kid}")
    assert caller.roles == frozenset({Role.READ})


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (without_algorithm, AccessReason.WRONG_ALGORITHM),
        (signed_by_the_public_key, AccessReason.WRONG_ALGORITHM),
        (with_another_body, AccessReason.WRONG_SIGNATURE),
        (lambda: Issuer().token("read"), AccessReason.WRONG_SIGNATURE),
        (lambda: ISSUER.token("read", headers={"kid": "second"}), AccessReason.WRONG_ALGORITHM),
        (lambda: ISSUER.token("read", kid="third"), AccessReason.UNKNOWN),
        (lambda: ISSUER.token("read", exp=None), AccessReason.MISSING_CLAIM),
        (lambda: ISSUER.token("read", exp=time.time() - 5), AccessReason.EXPIRED),
        (lambda: ISSUER.token("read", nbf=time.time() + 60), AccessReason.NOT_YET_VALID),
        (lambda: ISSUER.token("read", aud="others"), AccessReason.WRONG_AUDIENCE),
        (lambda: ISSUER.token("read", aud=None), AccessReason.MISSING_CLAIM),
        (lambda: ISSUER.token("read", iss="https://others"), AccessReason.WRONG_ISSUER),
        (lambda: ISSUER.token("read", iss=None), AccessReason.MISSING_CLAIM),
        (lambda: ISSUER.token("read", tenant=None), AccessReason.MISSING_CLAIM),
        (lambda: ISSUER.token("read", tenant="Not A Name"), AccessReason.MISSING_CLAIM),
        (lambda: ISSUER.token("read", tenant=["shop"]), AccessReason.MISSING_CLAIM),
        (lambda: "a.b.c", AccessReason.MALFORMED),
        (lambda: "..", AccessReason.MALFORMED),
        (lambda: f"{ISSUER.token('read')}{'x' * 9000}", AccessReason.MALFORMED),
    ],
)
def test_a_wrong_token_is_refused_for_its_reason(
    token: Callable[[], str], reason: AccessReason
) -> None:
    with pytest.raises(Unauthenticated) as caught:
        Verifier().tokens.caller_with(token(), NOON)

    assert caught.value.reason is reason


def test_a_token_that_was_right_is_not_verified_again_but_expires_all_the_same() -> None:
    verifier, expires = Verifier(), int(time.time()) + 600
    token = ISSUER.token("read", exp=expires)

    first = verifier.tokens.caller_with(token, NOON)
    again = verifier.tokens.caller_with(token, NOON)
    with pytest.raises(Unauthenticated) as caught:
        verifier.tokens.caller_with(token, datetime.fromtimestamp(expires, UTC))

    assert first == again
    assert caught.value.reason is AccessReason.EXPIRED


def test_a_token_that_was_right_is_refused_once_its_key_is_withdrawn() -> None:
    verifier = Verifier()
    token = ISSUER.token("read")

    verifier.tokens.caller_with(token, NOON)
    verifier.keys = signing_keys(ISSUER.jwks("second"), "jwks.json")

    with pytest.raises(Unauthenticated) as caught:
        verifier.tokens.caller_with(token, NOON)
    assert caught.value.reason is AccessReason.UNKNOWN


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moderation.adapters.identity.tokens.MAX_KNOWN", 2)
    verifier = Verifier()

    for number in range(5):
        caller = verifier.tokens.caller_with(ISSUER.token("read", n=number), NOON)

    assert caller.tenant == SHOP


def test_a_key_that_is_missing_is_asked_for() -> None:
    verifier = Verifier("first")

    with pytest.raises(Unauthenticated):
        verifier.tokens.caller_with(ISSUER.token("read", kid="second"), NOON)

    assert verifier.missed == 1


def test_a_tenant_that_is_not_in_the_file_is_denied() -> None:
    with pytest.raises(PermissionDenied) as caught:
        Verifier().tokens.caller_with(ISSUER.token("read", tenant="bank"), NOON)

    assert caught.value.reason is AccessReason.WRONG_TENANT


def test_without_a_file_of_tenants_any_name_will_do() -> None:
    caller = Verifier(with_tenants=False).tokens.caller_with(ISSUER.token(tenant="bank"), NOON)

    assert (caller.tenant, caller.roles) == (Tenant("bank"), frozenset())


@pytest.mark.parametrize(
    ("written", "roles"),
    [
        ("openid moderate read", {Role.MODERATE, Role.READ}),
        (["admin"], {Role.ADMIN}),
        ({"admin": True}, set()),
        (7, set()),
        (None, set()),
    ],
)
def test_roles_are_a_list_or_words(written: object, roles: set[Role]) -> None:
    caller = Verifier().tokens.caller_with(ISSUER.token(roles=written), NOON)

    assert caller.roles == frozenset(roles)


def test_what_looks_like_a_token_is_told_from_a_key() -> None:
    tokens = Verifier().tokens

    assert tokens.recognises("a.b.c")
    assert not tokens.recognises("mod_a.b.c")
    assert not tokens.recognises("a.b")
