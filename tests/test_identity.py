"""From settings to who may call what, with a real issuer on this machine."""

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from moderation.core.errors import KeysRejected, Unauthenticated
from moderation.core.identity import Role
from moderation.engine import utc_now
from moderation.identity import identity_from
from moderation.service.access import Presented
from moderation.settings import Settings, load_settings
from tests.adapters.identity.keys import KeysForTests
from tests.adapters.identity.test_jwks import serving
from tests.adapters.identity.tokens import AUDIENCE, ISSUER, Issuer
from tests.service.test_access import RecordingAccess

METHOD = "/service/Method"


def settings(**identity: object) -> Settings:
    return load_settings({"identity": {"jwt_issuer": ISSUER, "jwt_audience": AUDIENCE, **identity}})


async def test_without_keys_and_tokens_callers_are_not_told_apart() -> None:
    assert await identity_from(settings(), RecordingAccess(), utc_now) is None


async def test_keys_that_cannot_be_used_end_the_start(tmp_path: Path) -> None:
    with pytest.raises(KeysRejected, match="cannot be read"):
        await identity_from(
            settings(keys_file=str(tmp_path / "none.yaml")), RecordingAccess(), utc_now
        )


async def test_tokens_of_an_issuer_that_is_fetched_count_beside_keys(tmp_path: Path) -> None:
    issuer, told = Issuer(), RecordingAccess()
    keys = KeysForTests(tmp_path / "keys.yaml")
    with serving(200, issuer.jwks()) as url:
        chosen = settings(keys_file=str(keys.path), jwks_url=url.replace("user:secret@", ""))
        identity = await identity_from(chosen, told, utc_now)

    assert identity is not None
    for credential in (keys.of(Role.READ), issuer.token("read")):
        visit = identity.access.admit(Presented((credential,)), Role.READ, METHOD)
        assert visit.caller.tenant.name == "shop"
    with pytest.raises(Unauthenticated):
        identity.access.admit(Presented((Issuer().token("read"),)), Role.READ, METHOD)
    assert (len(told.loaded), told.signers) == (1, [2])
    assert {one.tenant for one in identity.tenants.usage()} == {"shop", "bank", "flood", "slow"}


async def test_an_issuer_that_is_away_ends_the_start() -> None:
    with pytest.raises(KeysRejected, match="cannot be fetched"):
        await identity_from(
            settings(jwks_url="http://127.0.0.1:1/jwks"), RecordingAccess(), utc_now
        )


async def test_tokens_alone_have_tenants_of_any_name() -> None:
    issuer = Issuer()
    with serving(200, issuer.jwks()) as url:
        chosen = settings(jwks_url=url.replace("user:secret@", ""))
        identity = await identity_from(chosen, RecordingAccess(), utc_now)

    assert identity is not None
    token = issuer.token("read", tenant="anybody")
    visit = identity.access.admit(Presented((token,)), Role.READ, METHOD)
    assert visit.caller.tenant.name == "anybody"
    assert identity.tenants.usage() == ()


@pytest.mark.parametrize(
    ("server", "tls", "is_told"),
    [
        ({"host": "127.0.0.1"}, {}, False),
        ({"host": "0.0.0.0"}, {}, True),
        ({"host": "0.0.0.0"}, {"client_certificates": "require"}, False),
    ],
)
async def test_a_server_that_is_open_to_everyone_says_so(
    server: dict[str, str], tls: dict[str, str], is_told: bool
) -> None:
    chosen = load_settings({"server": server, "tls": tls})

    with capture_logs() as events:
        assert await identity_from(chosen, RecordingAccess(), utc_now) is None

    assert [one["event"] for one in events] == ["open_to_everyone"] * is_told
