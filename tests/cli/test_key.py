"""`moderation key`: a file that people can keep under their eyes, with no secret in it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moderation.adapters.identity.keys_editing import KeysEditor, NewKey
from moderation.cli.exits import CommandError, Exit
from moderation.cli.key_create import create
from moderation.cli.key_list import list_keys
from moderation.cli.key_revoke import revoke
from moderation.core.errors import KeysRejected
from moderation.core.identity import Role
from moderation.identity import keys_source
from tests.builders import NOON
from tests.cli.command import moderation

Shown = pytest.CaptureFixture[str]


async def test_the_real_command_creates_a_key_that_counts(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"

    ended = await moderation("key", "create", "--tenant", "shop", "--role", "read", "--keys", keys)

    assert ended.exit_code == 0
    caller = keys_source(keys).load().ring.caller_with(ended.out.strip(), NOON)
    assert (caller.tenant.name, caller.roles) == ("shop", frozenset({Role.READ}))
    assert "is shown only now" in ended.err


async def test_the_real_command_tells_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("tenants: [")

    ended = await moderation("key", "list", env={"MODERATION_IDENTITY__KEYS_FILE": str(keys)})

    assert ended.exit_code == 78
    assert "keys.yaml:1:" in ended.err


def test_a_key_is_created_listed_and_revoked(tmp_path: Path, capsys: Shown) -> None:
    keys = tmp_path / "keys.yaml"

    create("shop", expires="2099-01-01", key_id="shop-1", keys=keys)
    token = capsys.readouterr().out.strip()
    keys.write_text(f"# ours\n{keys.read_text()}")
    list_keys(keys)
    listed = capsys.readouterr().out
    revoke("shop-1", keys)
    list_keys(keys)
    listed_again = capsys.readouterr().out

    assert re.fullmatch(r"mod_shop-1_[\w-]{43}", token)
    assert re.search(r"shop +shop-1 +key +moderate +2099-01-01T00:00:00\+00:00 +valid", listed)
    assert re.search(r"shop-1 .* revoked", listed_again)
    text = keys.read_text()
    assert text.startswith("# ours\n")
    assert token.split("_", 2)[2] not in text + listed + listed_again
    assert keys.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keys.yaml"]


def test_a_certificate_is_listed_and_revoked_as_a_key_is(tmp_path: Path, capsys: Shown) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text(
        "tenants:\n  shop:\n    certificates:\n"
        "      pod: {uri: 'spiffe://shop/pod', roles: [read]}  # ours\n"
    )

    list_keys(keys)
    listed = capsys.readouterr().out
    revoke("pod", keys)
    list_keys(keys)

    assert re.search(r"shop +pod +certificate +read +never +valid", listed)
    assert re.search(r"pod .* revoked", capsys.readouterr().out)
    assert "# ours" in keys.read_text()
    with pytest.raises(KeysRejected, match="there is a key pod already"):
        create("shop", key_id="pod", keys=keys)


def test_an_expired_key_is_listed_as_one(tmp_path: Path, capsys: Shown) -> None:
    past = datetime(2020, 1, 1, tzinfo=UTC)
    key = NewKey("shop-old", "shop", (Role.READ,), created=past, expires=past)
    KeysEditor(keys_source(tmp_path / "keys.yaml")).create(key)

    list_keys(tmp_path / "keys.yaml")

    assert "expired" in capsys.readouterr().out


def test_edits_at_the_same_time_lose_none(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda n: create("shop", key_id=f"key-{n}", keys=keys), range(8)))

    assert len(keys_source(keys).load().ring.keys) == 8


def test_a_wrong_wish_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    create("shop", key_id="one", keys=keys)
    before = keys.read_bytes()

    with pytest.raises(KeysRejected, match=r"tenants\.'Big Shop': the name must be lower-case"):
        create("Big Shop", keys=keys)
    with pytest.raises(KeysRejected, match="there is a key one already"):
        create("bank", key_id="one", keys=keys)
    with pytest.raises(CommandError, match="--expires: must be a day"):
        create("shop", expires="soon", keys=keys)
    with pytest.raises(CommandError, match="2020-01-01 has passed; the key would be dead"):
        create("shop", expires="2020-01-01", keys=keys)
    with pytest.raises(KeysRejected, match="there is no key two; `moderation key list` shows"):
        revoke("two", keys)

    assert keys.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["keys.yaml"]


def test_a_broken_file_is_left_to_people(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    keys.write_text("tenants: [")

    with pytest.raises(KeysRejected, match=r"keys\.yaml:1:"):
        create("shop", keys=keys)

    assert keys.read_text() == "tenants: ["


def test_where_no_file_can_be_is_told(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere" / "keys.yaml"

    with pytest.raises(CommandError, match="cannot be written: No such file") as caught:
        create("shop", keys=nowhere)
    with pytest.raises(CommandError, match="cannot be written: No such file"):
        revoke("shop-1", nowhere)
    assert caught.value.exit_code is Exit.NO_PERMISSION
    with pytest.raises(CommandError, match="name it with --keys"):
        list_keys()


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "keys.yaml"
    real.write_text("tenants: {shop: {}}\n")
    real.chmod(0o640)
    link.symlink_to(real)

    create("bank", keys=link)

    assert link.is_symlink()
    assert len(keys_source(real).load().ring.keys) == 1
    assert real.stat().st_mode & 0o777 == 0o640
