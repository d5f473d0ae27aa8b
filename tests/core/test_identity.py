"""Who a key lets in, and what that caller may do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moderation.core.errors import AccessReason, AccessRefused, PermissionDenied, Unauthenticated
from moderation.core.identity import (
    ANYONE,
    ApiKey,
    Caller,
    CertificateName,
    ClientCertificate,
    KeyRing,
    NameKind,
    Role,
    Tenant,
    digest_of,
    key_from,
)
from tests.builders import NOON

SECRET = "x" * 43
SHOP = Tenant("shop")


def an_api_key(key_id: str = "shop-1", **changes: object) -> ApiKey:
    digest = digest_of(key_from(key_id, SECRET))
    key = ApiKey(id=key_id, tenant=SHOP, roles=frozenset({Role.MODERATE}), digest=digest)
    return replace(key, **changes)  # type: ignore[arg-type]  # whatever the test changes


def ring(*keys: ApiKey) -> KeyRing:
    return KeyRing({SHOP.name: SHOP}, {key.id: key for key in keys})


def reason_for(token: str, *keys: ApiKey) -> AccessReason:
    with pytest.raises(Unauthenticated) as caught:
        ring(*keys).caller_with(token, NOON)
    return caught.value.reason


def a_caller(*roles: Role, tenant: Tenant = SHOP) -> Caller:
    return Caller(tenant, frozenset(roles), "shop-1")


def test_a_key_shows_whose_it_is_and_what_it_allows() -> None:
    caller = ring(an_api_key()).caller_with(key_from("shop-1", SECRET), NOON)

    assert caller == Caller(SHOP, frozenset({Role.MODERATE}), "shop-1")


@pytest.mark.parametrize(
    "token",
    ["", "mod_", SECRET, f"mod_shop-1_{SECRET}x", f"mod_Shop_{SECRET}", "x" * 100_000],
)
def test_what_cannot_be_a_key_is_malformed(token: str) -> None:
    assert reason_for(token, an_api_key()) is AccessReason.MALFORMED


def test_a_key_of_another_name_and_a_wrong_secret_are_both_unknown() -> None:
    assert reason_for(key_from("shop-2", SECRET), an_api_key()) is AccessReason.UNKNOWN
    assert reason_for(key_from("shop-1", "y" * 43), an_api_key()) is AccessReason.UNKNOWN


@given(st.text(max_size=80))
def test_no_text_but_the_key_lets_in(token: str) -> None:
    with pytest.raises(Unauthenticated):
        ring(an_api_key()).caller_with(token, NOON)


def test_a_key_counts_until_the_moment_at_which_it_expires() -> None:
    token = key_from("shop-1", SECRET)
    later = an_api_key(expires=NOON + timedelta(microseconds=1))

    assert ring(later).caller_with(token, NOON).credential == "shop-1"
    assert reason_for(token, an_api_key(expires=NOON)) is AccessReason.EXPIRED


def test_a_revoked_key_is_told_from_one_that_nobody_knows() -> None:
    token = key_from("shop-1", SECRET)

    assert reason_for(token, an_api_key(is_revoked=True)) is AccessReason.REVOKED


def a_certificate(certificate_id: str, kind: NameKind, value: str) -> ClientCertificate:
    name, roles = CertificateName(kind, value), frozenset({Role.READ})
    return ClientCertificate(id=certificate_id, tenant=SHOP, roles=roles, name=name)


def test_a_certificate_is_known_by_one_of_its_names_as_a_whole() -> None:
    pod = a_certificate("pod", NameKind.URI, "spiffe://shop/pod")
    host = a_certificate("host", NameKind.DNS, "pod.shop")
    certified = KeyRing({}, {}, {one.name: one for one in (pod, host)})

    def whose(*names: tuple[NameKind, str]) -> Caller | None:
        return certified.caller_named([CertificateName(*one) for one in names], NOON)

    mail = (NameKind.DNS, "mail.shop")
    assert whose((NameKind.URI, "spiffe://shop/pod"), mail) == pod.caller(NOON)
    assert whose(mail, (NameKind.DNS, "pod.shop")) == host.caller(NOON)
    for kind, value in (
        (NameKind.URI, "spiffe://shop/pod/"),
        (NameKind.URI, "spiffe://shop/po"),
        (NameKind.DNS, "spiffe://shop/pod"),
        (NameKind.COMMON_NAME, "pod.shop"),
    ):
        assert whose((kind, value)) is None
    with pytest.raises(Unauthenticated) as caught:
        whose((NameKind.URI, "spiffe://shop/pod"), (NameKind.DNS, "pod.shop"))
    assert caught.value.reason is AccessReason.AMBIGUOUS


def test_a_certificate_counts_as_long_as_a_key() -> None:
    old = replace(a_certificate("old", NameKind.DNS, "old.shop"), expires=NOON)

    with pytest.raises(Unauthenticated) as caught:
        KeyRing({}, {}, {old.name: old}).caller_named([old.name], NOON)

    assert (caught.value.reason, caught.value.credential) == (AccessReason.EXPIRED, "old")


@pytest.mark.parametrize("needed", Role)
@pytest.mark.parametrize("has", Role)
def test_a_role_allows_itself_and_admin_everything(needed: Role, has: Role) -> None:
    caller = a_caller(has)

    if has in {needed, Role.ADMIN}:
        caller.require_role(needed)
    else:
        with pytest.raises(PermissionDenied) as caught:
            caller.require_role(needed)
        assert caught.value.reason is AccessReason.WRONG_ROLE


def test_nobody_may_be_another_tenant_not_even_an_admin() -> None:
    caller = a_caller(Role.ADMIN)

    caller.require_tenant("shop")
    caller.require_tenant("")
    with pytest.raises(PermissionDenied) as caught:
        caller.require_tenant("bank")
    assert caught.value.reason is AccessReason.WRONG_TENANT


def test_a_tenant_is_judged_by_its_own_profiles_only() -> None:
    caller = a_caller(Role.MODERATE, tenant=Tenant("shop", frozenset({"strict"})))

    caller.require_profile("strict")
    a_caller(Role.MODERATE).require_profile("whatever")
    with pytest.raises(PermissionDenied) as caught:
        caller.require_profile("default")
    assert caught.value.reason is AccessReason.WRONG_PROFILE


def test_anyone_may_everything_where_callers_are_not_told_apart() -> None:
    for role in Role:
        ANYONE.require_role(role)
    ANYONE.require_profile("whatever")


def test_all_refusals_of_a_kind_read_the_same_to_the_caller() -> None:
    refusals: list[AccessRefused] = [
        kind(reason, "shop-1")
        for kind in (Unauthenticated, PermissionDenied)
        for reason in AccessReason
    ]

    assert len({str(one) for one in refusals}) == 2
    assert not any("shop" in str(one) for one in refusals)


def test_no_value_shows_its_digest() -> None:
    key = an_api_key()

    assert key.digest.hex()[:8] not in repr(key)
    assert repr(key.digest)[2:10] not in repr(key)
