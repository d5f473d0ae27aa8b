"""`moderation key list`: which keys there are, and which of them count."""

from datetime import UTC, datetime

from rich.table import Table

from moderation.cli.exits import Exit
from moderation.cli.flags import Config
from moderation.cli.key_flags import KeysFileFlag, keys_path
from moderation.cli.output import say_table
from moderation.core.identity import ApiKey, Credential
from moderation.settings import load_settings


def list_keys(keys: KeysFileFlag = None, config: Config = None) -> int:
    """List keys and certificates by tenant: roles and states, no secrets, which nobody has."""
    path = keys_path(keys, load_settings({}, config))
    from moderation.identity import keys_source

    table = Table("tenant", "id", "kind", "roles", "expires", "state", box=None)
    now = datetime.now(UTC)
    ring = keys_source(path).load().ring
    for one in (*ring.keys.values(), *ring.certificates.values()):
        roles = ", ".join(sorted(one.roles))
        expires = one.expires.isoformat() if one.expires else "never"
        table.add_row(one.tenant.name, one.id, _kind(one), roles, expires, _state(one, now))
    say_table(table)
    return Exit.ALLOW


def _kind(one: Credential) -> str:
    return "key" if isinstance(one, ApiKey) else "certificate"


def _state(one: Credential, now: datetime) -> str:
    if one.is_revoked:
        return "revoked"
    return "expired" if one.expires is not None and now >= one.expires else "valid"
