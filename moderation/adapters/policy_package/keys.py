"""Ed25519 keys in PEM files, as `openssl` writes and reads them too."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from moderation.adapters.policy_package.refusal import refused

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )
except ImportError as missing:
    raise ImportError(
        "policy packages need cryptography: pip install 'moderation[packages]'"
    ) from missing

MAX_KEY_FILE_BYTES = 64 * 1024
ID_DIGITS = 16

_PUBLIC = re.compile(b"-----BEGIN PUBLIC KEY-----.+?-----END PUBLIC KEY-----", re.DOTALL)

PublicKeys = Mapping[str, Ed25519PublicKey]
"""By id."""


def key_id(key: Ed25519PublicKey) -> str:
    """The first digits of the sha256 of its 32 bytes."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:ID_DIGITS]


def make_key_pair(private: Path, public: Path) -> str:
    """Write a new pair, and its id; raises FileExistsError rather than lose an older one."""
    key = Ed25519PrivateKey.generate()
    own = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    shared = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public.exists():
        raise FileExistsError(17, os.strerror(17), str(public))
    _write_new(private, own, 0o600)
    _write_new(public, shared, 0o644)
    return key_id(key.public_key())


def read_private_key(path: Path) -> Ed25519PrivateKey:
    """Raises PolicySetRejected."""
    try:
        key = load_pem_private_key(_content(path), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = "is no private key in PEM without a password; see `moderation policy keygen`"
        raise refused(str(path), message) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise refused(str(path), "is another kind of key; packages are signed with Ed25519")
    return key


def read_public_keys(paths: Iterable[Path]) -> PublicKeys:
    """Those of all files, of which each may hold several; raises PolicySetRejected."""
    return {key_id(key): key for path in paths for key in _public_keys(path)}


def _public_keys(path: Path) -> Iterator[Ed25519PublicKey]:
    written = _PUBLIC.findall(_content(path))
    if not written:
        raise refused(str(path), "holds no public key in PEM; see `moderation policy keygen`")
    for pem in written:
        try:
            key = load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise refused(str(path), "holds a public key that cannot be read") from error
        if not isinstance(key, Ed25519PublicKey):
            raise refused(str(path), "holds another kind of key; packages need Ed25519")
        yield key


def _content(path: Path) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise refused(str(path), f"cannot be read: {error.strerror}") from error


def _write_new(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(content)
