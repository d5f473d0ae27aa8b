"""The file of keys as a KeySource: its bytes within limits, and what they mean."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

from moderation.adapters.identity.schema import KeysSchema, TenantSchema
from moderation.core.errors import KeysRejected, Problem
from moderation.core.identity import ApiKey, KeyRing, Role, Tenant, TenantLimits
from moderation.service.access import LoadedKeys

MAX_FILE_BYTES = 2**20
"""About 5,000 keys; to tell what is wrong with as many takes some seconds."""

ParseKeys = Callable[[bytes, str], KeysSchema | tuple[Problem, ...]]
"""What the bytes of the file of that name say, or everything that is wrong with them."""


class KeysFile:
    """Reads the file anew each time, and parses it if it has changed, by `parse`."""

    def __init__(self, path: Path, parse: ParseKeys) -> None:
        self.path = path
        self._parse = parse
        self._last: tuple[bytes, KeyRing] | None = None

    def load(self) -> LoadedKeys:
        """See KeySource."""
        content, mode = self._read()
        if self._last is None or self._last[0] != content:  # it is looked at again and again
            self._last = content, self.ring_of(content)
        return LoadedKeys(self._last[1], is_exposed=bool(mode & stat.S_IROTH))

    def ring_of(self, content: bytes) -> KeyRing:
        """The keys, were this what the file holds; raises KeysRejected."""
        written = self._parse(content, str(self.path))
        if isinstance(written, tuple):
            raise KeysRejected(written)
        return self._ring(written)

    def _read(self) -> tuple[bytes, int]:
        try:
            with open(self.path, "rb", opener=_opener) as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read(MAX_FILE_BYTES + 1) if stat.S_ISREG(mode) else None
        except OSError as error:
            raise self._rejected(f"cannot be read: {error.strerror}") from error
        if content is None:
            raise self._rejected("is not a file")
        if len(content) > MAX_FILE_BYTES:
            raise self._rejected(f"is too large; at most {MAX_FILE_BYTES} bytes are allowed")
        return content, mode

    def _ring(self, written: KeysSchema) -> KeyRing:
        keys: dict[str, ApiKey] = {}
        tenants: dict[str, Tenant] = {}
        for name, one in written.tenants.items():
            tenants[name] = _tenant(name, one)
            for key in _keys(tenants[name], one):
                other = keys.setdefault(key.id, key)
                if other is not key:
                    owners = f"{other.tenant.name} and {name}"
                    raise self._rejected(f"the key {key.id} is there twice, for {owners}")
        return KeyRing(MappingProxyType(tenants), MappingProxyType(keys))

    def _rejected(self, message: str) -> KeysRejected:
        return KeysRejected((Problem(str(self.path), 0, 0, message),))


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # not waiting for a named pipe's writer


def _tenant(name: str, written: TenantSchema) -> Tenant:
    profiles = None if written.profiles is None else frozenset(written.profiles)
    return Tenant(name, profiles, TenantLimits(**written.limits.model_dump()))


def _keys(tenant: Tenant, written: TenantSchema) -> Iterator[ApiKey]:
    for key_id, one in written.keys.items():
        yield ApiKey(
            key_id,
            tenant,
            frozenset(map(Role, one.roles)),
            one.hash,
            one.expires,
            is_revoked=one.revoked is not None,
        )
