"""`moderation key list`: which keys there are, and which of them count."""

from datetime import UTC, datetime

from rich.table import Table

from moderation.cli.exits import Exit
from moderation.cli.flags import Config
from moderation.cli.key_flags import KeysFileFlag, keys_path
from moderation.cli.output import say_table
from moderation.core.identity import ApiKey
from moderation.settings import load_settings


def list_keys(keys: KeysFileFlag = None, config: Config = None) -> int:
    """List the keys by tenant: names, roles and states, no secrets, which nobody has."""
    path = keys_path(keys, load_settings({}, config))
    from moderation.identity import keys_source

    table = Table("tenant", "key", "roles", "expires", "state", box=None)
    now = datetime.now(UTC)
    for key in keys_source(path).load().ring.keys.values():
        roles = ", ".join(sorted(key.roles))
        expires = key.expires.isoformat() if key.expires else "never"
        table.add_row(key.tenant.name, key.id, roles, expires, _state(key, now))
    say_table(table)
    return Exit.ALLOW


def _state(key: ApiKey, now: datetime) -> str:
    if key.is_revoked:
        return "revoked"
    return "expired" if key.expires is not None and now >= key.expires else "valid"
