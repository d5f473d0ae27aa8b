"""Edits of the file of keys, so that comments stay and no half of an edit is ever read."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import StringIO
from tempfile import NamedTemporaryFile
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from moderation.adapters.identity.keys_file import KeysFile
from moderation.adapters.identity.schema import HASH_PREFIX
from moderation.core.errors import KeysRejected, Problem
from moderation.core.identity import SECRET_BYTES, Role, digest_of, key_from

HEADER = "# Tenants and their API keys, by hash: docs/identity.md. Keep it from other users.\n"
LINE_WIDTH = 4096
"""Nothing is to be broken over lines that was not before."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """What a key that does not exist yet is to be."""

    id: str
    tenant: str
    roles: tuple[Role, ...]
    created: datetime
    expires: datetime | None = None


class KeysEditor:
    """Changes a file of keys, and never leaves one that cannot be used."""

    def __init__(self, keys: KeysFile) -> None:
        self._path = keys.path.resolve()  # of a link, what it leads to: the link itself stays
        self._keys = keys

    def create(self, key: NewKey) -> str:
        """Add a key, and its tenant if there is none yet; the key itself is known only here.

        Raises KeysRejected or OSError, and leaves the file as it was.
        """
        token = key_from(key.id, secrets.token_urlsafe(SECRET_BYTES))
        entry: dict[str, Any] = {
            "hash": HASH_PREFIX + digest_of(token).hex(),
            "roles": [role.value for role in key.roles],
            "created": key.created.isoformat(timespec="seconds"),
        }
        if key.expires is not None:
            entry["expires"] = key.expires.isoformat()
        with self._editing() as document:
            keys = _within(document, "tenants", key.tenant, "keys")
            if any(key.id in one for one in _credentials(document)):
                raise self._rejected(f"there is a key {key.id} already")
            keys[key.id] = entry
        return token

    def revoke(self, key_id: str, at: datetime) -> None:
        """Mark a key or certificate as withdrawn; raises as `create`, also if there is none."""
        with self._editing() as document:
            found = [one[key_id] for one in _credentials(document) if key_id in one]
            if not found:
                raise self._rejected(f"there is no key {key_id}; `moderation key list` shows them")
            found[0].setdefault("revoked", at.isoformat(timespec="seconds"))

    @contextmanager
    def _editing(self) -> Iterator[Any]:
        """The document as it is now, which is put in its place if it can be used."""
        yaml = YAML()
        yaml.width = LINE_WIDTH
        with self._locked():
            document = CommentedMap()
            if self._path.exists():
                self._keys.load()  # a broken file is for people to mend
                document = yaml.load(self._path.read_text(encoding="utf-8"))
            yield document
            text = StringIO()
            yaml.dump(document, text)
            self._keys.ring_of(text.getvalue().encode())
            self._replace(text.getvalue())

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Two edits at once would lose one of them."""
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _replace(self, text: str) -> None:
        with NamedTemporaryFile(
            "w", dir=self._path.parent, prefix=".", delete=False, encoding="utf-8"
        ) as file:  # readable by its owner alone
            try:
                file.write(text if self._path.exists() else HEADER + text)
                file.flush()
                if self._path.exists():
                    status = self._path.stat()
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                    os.fchmod(file.fileno(), status.st_mode & 0o777)
                os.fsync(file.fileno())
                os.replace(file.name, self._path)
            except BaseException:
                with suppress(OSError):
                    os.unlink(file.name)
                raise

    def _rejected(self, message: str) -> KeysRejected:
        return KeysRejected((Problem(str(self._path), 0, 0, message),))


def _credentials(document: Any) -> Iterator[Any]:  # noqa: ANN401 - what ruamel read
    """By id, the keys and the certificates of every tenant."""
    for tenant in _within(document, "tenants").values():
        yield tenant.get("keys", {})
        yield tenant.get("certificates", {})


def _within(mapping: Any, *names: str) -> Any:  # noqa: ANN401 - what ruamel read
    """The mapping under these names, made where there is none."""
    for name in names:
        mapping = mapping.setdefault(name, {})
    return mapping
