"""Whoever shows a credential that allows it is let in, and of everybody else is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest

from moderation.core.errors import (
    AccessReason,
    AccessRefused,
    KeysRejected,
    PermissionDenied,
    Problem,
    Unauthenticated,
)
from moderation.core.identity import (
    NO_LIMITS,
    CertificateName,
    ClientCertificate,
    KeyRing,
    NameKind,
    Role,
    Tenant,
    TenantLimits,
    key_from,
)
from moderation.service.access import (
    OPEN,
    Access,
    AccessAudiences,
    KeyStore,
    LoadedKeys,
    Presented,
)
from tests.builders import NOON
from tests.core.test_identity import SECRET, an_api_key

METHOD = "/service/Method"
TOKEN = key_from("shop-1", SECRET)
PROBLEM = Problem("keys.yaml", 3, 1, "is wrong")
UPLOADS = CertificateName(NameKind.URI, "spiffe://shop/uploads")
BANK = CertificateName(NameKind.DNS, "bank.example")
GONE = CertificateName(NameKind.COMMON_NAME, "gone")
NOBODY = CertificateName(NameKind.URI, "spiffe://nobody/" + "x" * 300)
PERSON = CertificateName(NameKind.COMMON_NAME, "Ada Lovelace")


class RecordingAccess:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.refused: list[tuple[AccessReason, str, str]] = []
        self.loaded: list[tuple[int, int, int, bool]] = []
        self.rejected: list[Sequence[Problem]] = []
        self.signers: list[int | Sequence[Problem]] = []

    def access_refused(self, refusal: AccessRefused, method: str) -> None:
        self.refused.append((refusal.reason, refusal.credential, method))

    def keys_loaded(self, *, tenants: int, keys: int, certificates: int, is_exposed: bool) -> None:
        self.loaded.append((tenants, keys, certificates, is_exposed))

    def keys_rejected(self, problems: Sequence[Problem]) -> None:
        self.rejected.append(problems)

    def signers_loaded(self, keys: int) -> None:
        self.signers.append(keys)

    def signers_rejected(self, problems: Sequence[Problem]) -> None:
        self.signers.append(problems)


class FakeKeys:
    """A KeySource that holds what the test puts there."""

    def __init__(self, *, holds: LoadedKeys | KeysRejected | None = None) -> None:
        self.holds = holds or loaded()

    def load(self) -> LoadedKeys:
        if isinstance(self.holds, KeysRejected):
            raise self.holds
        return self.holds


class Bursts:
    """A ChangeFeed of so many bursts."""

    def __init__(self, *edits: LoadedKeys | KeysRejected, of: FakeKeys) -> None:
        self._edits = edits
        self._keys = of

    async def changes(self) -> AsyncIterator[None]:
        for edit in self._edits:
            self._keys.holds = edit
            yield


def loaded(
    *,
    is_revoked: bool = False,
    profiles: frozenset[str] | None = None,
    limits: TenantLimits = NO_LIMITS,
) -> LoadedKeys:
    tenant = Tenant("shop", profiles, limits)
    key = replace(an_api_key(is_revoked=is_revoked), tenant=tenant)
    return LoadedKeys(KeyRing({"shop": tenant}, {key.id: key}))


def with_certificates() -> LoadedKeys:
    """A key of the shop, and certificates of the shop, of a bank, and of a bank's past."""
    ring, bank = loaded().ring, Tenant("bank")
    shop, roles = ring.tenants["shop"], frozenset({Role.MODERATE})
    certificates = (
        ClientCertificate(id="shop-uploads", tenant=shop, roles=roles, name=UPLOADS),
        ClientCertificate(id="bank-pod", tenant=bank, roles=roles, name=BANK),
        ClientCertificate(id="bank-gone", tenant=bank, roles=roles, name=GONE, is_revoked=True),
    )
    tenants = {**ring.tenants, "bank": bank}
    return LoadedKeys(KeyRing(tenants, ring.keys, {one.name: one for one in certificates}))


async def an_access(holds: LoadedKeys | None = None) -> tuple[Access, KeyStore, RecordingAccess]:
    told = RecordingAccess()
    keys = KeyStore(FakeKeys(holds=holds), told)
    await keys.load()
    return Access((keys,), AccessAudiences(told), lambda: NOON, certificates=keys), keys, told


async def test_a_key_lets_in() -> None:
    access, _, told = await an_access()

    visit = access.admit(Presented((TOKEN,), ("shop",)), Role.MODERATE, METHOD)

    assert visit.caller.tenant.name == "shop"
    assert not told.refused


@pytest.mark.parametrize(
    ("presented", "reason"),
    [
        (Presented(), AccessReason.NO_CREDENTIAL),
        (Presented((TOKEN, TOKEN)), AccessReason.AMBIGUOUS),
        (Presented(("something else",)), AccessReason.MALFORMED),
        (Presented((key_from("shop-1", "y" * 43),)), AccessReason.UNKNOWN),
    ],
)
async def test_without_a_valid_credential_nobody_is_let_in(
    presented: Presented, reason: AccessReason
) -> None:
    access, _, told = await an_access()

    with pytest.raises(Unauthenticated) as caught:
        access.admit(presented, Role.MODERATE, METHOD)
    access.refused(caught.value, METHOD)

    assert caught.value.reason is reason
    assert [(one, method) for one, _, method in told.refused] == [(reason, METHOD)]


@pytest.mark.parametrize(
    ("role", "claims", "reason"),
    [
        (Role.READ, (), AccessReason.WRONG_ROLE),
        (Role.MODERATE, ("bank",), AccessReason.WRONG_TENANT),
        (Role.MODERATE, ("shop", "bank"), AccessReason.WRONG_TENANT),
    ],
)
async def test_a_known_caller_may_not_do_everything(
    role: Role, claims: tuple[str, ...], reason: AccessReason
) -> None:
    access, _, told = await an_access()

    with pytest.raises(PermissionDenied) as caught:
        access.admit(Presented((TOKEN,), claims), role, METHOD)

    assert (caught.value.reason, caught.value.credential) == (reason, "shop-1")
    assert not told.refused


@pytest.mark.parametrize(
    ("presented", "tenant", "credential"),
    [
        (Presented(certificate=frozenset({UPLOADS, PERSON})), "shop", "shop-uploads"),
        (Presented((), ("bank",), frozenset({BANK})), "bank", "bank-pod"),
        (Presented((TOKEN,), (), frozenset({UPLOADS})), "shop", "shop-1"),
        (Presented((TOKEN,), (), frozenset({NOBODY})), "shop", "shop-1"),
    ],
)
async def test_a_certificate_lets_in_who_sends_nothing_else(
    presented: Presented, tenant: str, credential: str
) -> None:
    access, keys, told = await an_access(with_certificates())

    visit = access.admit(presented, Role.MODERATE, METHOD)

    assert access.takes_certificates
    assert (visit.caller.tenant.name, visit.caller.credential) == (tenant, credential)
    assert keys.tenants.keys() == {"shop", "bank"}
    assert not told.refused


@pytest.mark.parametrize(
    ("presented", "reason", "credential"),
    [
        (Presented(), AccessReason.NO_CREDENTIAL, ""),
        (Presented(certificate=frozenset({NOBODY})), AccessReason.UNKNOWN, str(NOBODY)[:200]),
        (Presented(certificate=frozenset({PERSON})), AccessReason.UNKNOWN, "certificate"),
        (Presented(certificate=frozenset({GONE})), AccessReason.REVOKED, "bank-gone"),
        (Presented(certificate=frozenset({UPLOADS, BANK})), AccessReason.AMBIGUOUS, "bank-pod"),
        (Presented((), ("shop",), frozenset({BANK})), AccessReason.WRONG_TENANT, "bank-pod"),
        # A key that was taken elsewhere, and a certificate that was withdrawn, help nobody.
        (Presented((TOKEN,), (), frozenset({BANK})), AccessReason.WRONG_TENANT, "shop-1"),
        (Presented((TOKEN,), (), frozenset({GONE})), AccessReason.REVOKED, "bank-gone"),
        # A right certificate does not make a wrong key right.
        (Presented(("mod_x",), (), frozenset({UPLOADS})), AccessReason.MALFORMED, ""),
    ],
)
async def test_a_certificate_lets_nobody_else_in(
    presented: Presented, reason: AccessReason, credential: str
) -> None:
    access, _, _ = await an_access(with_certificates())

    with pytest.raises(AccessRefused) as caught:
        access.admit(presented, Role.MODERATE, METHOD)

    assert (caught.value.reason, caught.value.credential) == (reason, credential)


async def test_a_certificate_that_is_withdrawn_ends_what_is_under_way() -> None:
    told, source = RecordingAccess(), FakeKeys(holds=with_certificates())
    keys = KeyStore(source, told)
    await keys.load()
    access = Access((keys,), told, lambda: NOON, certificates=keys)
    visit = access.admit(Presented(certificate=frozenset({UPLOADS})), Role.MODERATE, METHOD)

    visit.recheck()
    await keys.follow(Bursts(loaded(), of=source))

    assert not access.takes_certificates
    with pytest.raises(Unauthenticated):
        visit.recheck()
    assert told.refused == [(AccessReason.UNKNOWN, str(UPLOADS), METHOD)]


async def test_without_keys_no_certificate_is_looked_at() -> None:
    access = Access((), RecordingAccess(), lambda: NOON)

    assert not access.takes_certificates
    with pytest.raises(Unauthenticated):
        access.admit(Presented(certificate=frozenset({UPLOADS})), Role.MODERATE, METHOD)


async def test_a_profile_of_others_is_refused_and_told() -> None:
    access, _, told = await an_access(loaded(profiles=frozenset({"strict"})))
    visit = access.admit(Presented((TOKEN,)), Role.MODERATE, METHOD)

    visit.require_profile("strict")
    with pytest.raises(PermissionDenied):
        visit.require_profile("")

    assert told.refused == [(AccessReason.WRONG_PROFILE, "shop-1", METHOD)]


async def test_a_call_under_way_is_looked_at_again() -> None:
    keys_file = FakeKeys()
    told = RecordingAccess()
    keys = KeyStore(keys_file, told)
    await keys.load()
    access = Access((keys,), told, lambda: NOON)
    visit = access.admit(Presented((TOKEN,)), Role.MODERATE, METHOD)

    visit.recheck()
    await keys.follow(Bursts(loaded(is_revoked=True), of=keys_file))

    with pytest.raises(Unauthenticated):
        visit.recheck()
    assert told.refused == [(AccessReason.REVOKED, "shop-1", METHOD)]


async def test_a_broken_edit_keeps_the_last_good_keys_and_is_told_once() -> None:
    keys_file = FakeKeys()
    told = RecordingAccess()
    keys = KeyStore(keys_file, told)
    await keys.load()

    broken = KeysRejected((PROBLEM,))
    await keys.follow(Bursts(loaded(), broken, broken, of=keys_file))

    assert told.rejected == [(PROBLEM,)]
    assert keys.caller_with(TOKEN, NOON).credential == "shop-1"
    assert keys.tenants.keys() == {"shop"}


async def test_the_same_keys_are_news_only_after_a_broken_edit() -> None:
    keys_file = FakeKeys()
    told = RecordingAccess()
    keys = KeyStore(keys_file, told)
    await keys.load()

    await keys.follow(Bursts(loaded(), KeysRejected((PROBLEM,)), loaded(), of=keys_file))

    assert told.loaded == [(1, 1, 0, False)] * 2


async def test_keys_that_cannot_be_used_at_the_start_are_no_keys() -> None:
    keys = KeyStore(FakeKeys(holds=KeysRejected((PROBLEM,))), RecordingAccess())

    with pytest.raises(KeysRejected):
        await keys.load()


async def test_every_audience_is_told() -> None:
    first, second = RecordingAccess(), RecordingAccess()
    both = AccessAudiences(first, second)

    both.access_refused(Unauthenticated(AccessReason.UNKNOWN), METHOD)
    both.keys_loaded(tenants=1, keys=2, certificates=3, is_exposed=True)
    both.keys_rejected((PROBLEM,))
    both.signers_loaded(3)
    both.signers_rejected((PROBLEM,))

    for told in (first, second):
        assert told.refused == [(AccessReason.UNKNOWN, "", METHOD)]
        assert told.loaded == [(1, 2, 3, True)]
        assert told.rejected == [(PROBLEM,)]
        assert told.signers == [3, (PROBLEM,)]


async def test_where_callers_are_not_told_apart_everything_goes() -> None:
    await asyncio.sleep(0)
    OPEN.recheck()
    OPEN.require_profile("whatever")
    OPEN.refused(Unauthenticated(AccessReason.UNKNOWN))


def test_a_secret_is_in_no_representation() -> None:
    assert SECRET not in repr(Presented((TOKEN,)))
