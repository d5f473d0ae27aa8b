"""The file of keys as a KeySource: its bytes within limits, and what they mean."""

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType

from moderation.adapters.identity.schema import KeysSchema, TenantSchema
from moderation.core.errors import KeysRejected, Problem
from moderation.core.identity import (
    ApiKey,
    CertificateName,
    ClientCertificate,
    Credential,
    KeyRing,
    Role,
    Tenant,
    TenantLimits,
)
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
        tenants = {name: _tenant(name, one) for name, one in written.tenants.items()}
        keys: dict[str, ApiKey] = {}
        certificates: dict[CertificateName, ClientCertificate] = {}
        ids: dict[str, Credential] = {}
        for name, one in written.tenants.items():
            for key in _keys(tenants[name], one):
                self._require_first(ids.setdefault(key.id, key), key, f"the key {key.id}")
                keys[key.id] = key
            for own in _certificates(tenants[name], one):
                # One namespace with the keys: the log and `revoke` know both by their ids.
                self._require_first(ids.setdefault(own.id, own), own, f"the id {own.id}")
                first = certificates.setdefault(own.name, own)
                self._require_first(first, own, f"the certificate {own.name}")
        return KeyRing(
            MappingProxyType(tenants), MappingProxyType(keys), MappingProxyType(certificates)
        )

    def _require_first(self, first: Credential, own: Credential, what: str) -> None:
        if first is not own:
            owners = f"{first.tenant.name} and {own.tenant.name}"
            raise self._rejected(f"{what} is there twice, for {owners}")

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
            id=key_id,
            tenant=tenant,
            roles=frozenset(map(Role, one.roles)),
            digest=one.hash,
            expires=one.expires,
            is_revoked=one.revoked is not None,
        )


def _certificates(tenant: Tenant, written: TenantSchema) -> Iterator[ClientCertificate]:
    for certificate_id, one in written.certificates.items():
        yield ClientCertificate(
            id=certificate_id,
            tenant=tenant,
            roles=frozenset(map(Role, one.roles)),
            name=one.name,
            expires=one.expires,
            is_revoked=one.revoked is not None,
        )
