"""A file with a key of every kind, and the keys themselves."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from moderation.adapters.identity.keys_editing import KeysEditor, NewKey
from moderation.adapters.identity.keys_file import KeysFile
from moderation.adapters.identity.schema import KeysSchema
from moderation.adapters.policy_yaml.models import read_model
from moderation.core.identity import Role, key_from
from tests.builders import NOON

START = """\
tenants:
  shop: {}
  bank:
    profiles: [strict]
  flood:
    limits:
      max_in_flight: 2
  slow:
    limits:
      requests_per_s: 0.1
      burst: 2
"""


class KeysForTests:
    """Keys of the tenants `shop`, `bank`, `flood` and `slow` in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.editor = KeysEditor(KeysFile(path, partial(read_model, KeysSchema)))
        path.write_text(START)
        path.chmod(0o600)
        self._by_role = {role: self.create(f"shop-{role}", role) for role in Role}
        self.of_bank = self.create("bank-1", Role.MODERATE, tenant="bank")
        self.of_slow = self.create("slow-1", Role.MODERATE, tenant="slow")
        self.of_flood = self.create("flood-1", Role.MODERATE, tenant="flood")
        self.unknown = key_from("shop-moderate", "x" * 43)
        self.expired = self.create("shop-old", *Role, expires_s=1.0)
        self.revoked = self.create("shop-gone", *Role)
        self.revoke("shop-gone")

    def of(self, role: Role) -> str:
        """A key that has this role alone."""
        return self._by_role[role]

    def create(
        self, key_id: str, *roles: Role, tenant: str = "shop", expires_s: float | None = None
    ) -> str:
        """A new key; it expires so long after a moment in the past."""
        expires = None if expires_s is None else NOON + timedelta(seconds=expires_s)
        return self.editor.create(NewKey(key_id, tenant, roles, NOON, expires))

    def revoke(self, key_id: str) -> None:
        """Withdraw a key."""
        self.editor.revoke(key_id, NOON)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen anywhere."""
        tokens = (
            *self._by_role.values(),
            self.of_bank,
            self.of_flood,
            self.of_slow,
            self.unknown,
            self.expired,
            self.revoked,
        )
        return tuple(token.split("_", 2)[2] for token in tokens)
