"""The server's certificate, its key and the clients' authorities: read, judged and followed.

What is wrong with files is found here, before TLS gets to see them: it would tell
nobody but the clients.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from stat import S_IROTH
from typing import Protocol

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
except ImportError as missing:
    raise ImportError("TLS needs cryptography: pip install 'moderation[tls]'") from missing

LOOK_S = 0.5
JUDGE_AGAIN = timedelta(minutes=1)
"""After this time rejected files are judged again: a certificate may not have been valid yet."""
MAX_FILE_BYTES = 2**20
MIN_RSA_BITS = 2048
CURVES = ("secp256r1", "secp384r1")
"""What gRPC's TLS can sign with; a connection would fail with any other, Ed25519 included."""
BEGIN_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"


class CertificateUnusable(OSError):
    """A file that cannot be used for TLS; the message names it, and what to do."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the PEM files are; without `client_ca` clients need no certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Certificates:
    """What TLS is given, in PEM, and what is known of it."""

    chain: bytes
    """The server's certificate first."""
    key: bytes = field(repr=False)
    client_ca: bytes | None
    serial: str
    """Of the server's certificate, in hexadecimal digits."""
    not_after: datetime
    client_ca_not_after: datetime | None
    """When the last of the clients' authorities expires."""


class CertificateTelemetry(Protocol):
    """What operators get to see of the certificates; must not raise and must not block."""

    def certificates_loaded(
        self,
        *,
        serial: str,
        not_after: datetime,
        client_ca_not_after: datetime | None,
        key_is_exposed: bool,
    ) -> None:
        """New connections get these; every user of the machine may read an exposed key."""
        ...

    def certificates_rejected(self, reason: str) -> None:
        """The files cannot be used, and what was loaded before stays in force."""
        ...


_Seen = tuple[bytes | str, ...]
"""What the files held when they were last read; a text says why one could not be."""


class CertificateStore:
    """Holds what new connections get, and takes over files that were replaced."""

    def __init__(
        self,
        files: CertificateFiles,
        audiences: Sequence[CertificateTelemetry],
        *,
        now: Callable[[], datetime],
    ) -> None:
        """Reads the files; raises CertificateUnusable."""
        self._files = files
        self._audiences = audiences
        self._now = now
        self._seen = self._judged = _read(files)
        self._rejected_at: datetime | None = None
        self.current = _judge(self._judged, files, now())
        """What a connection that is made now gets."""
        self._tell_loaded()

    async def follow(self) -> None:
        """Look at the files for ever."""
        while True:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.look)

    def look(self) -> None:
        """Take over replaced files; whatever is wrong with them keeps the last good ones.

        They are judged once they were the same at two looks: the certificate and its key are
        two files, and somebody may be writing them.
        """
        seen = _read(self._files)
        is_settled, self._seen = seen == self._seen, seen
        if not is_settled or (seen == self._judged and not self._is_due_again()):
            return
        self._judged = seen
        try:
            self.current = _judge(seen, self._files, self._now())
        except CertificateUnusable as error:
            self._rejected_at = self._now()
            for audience in self._audiences:
                audience.certificates_rejected(str(error))
            return
        self._rejected_at = None
        self._tell_loaded()

    def _is_due_again(self) -> bool:
        return self._rejected_at is not None and self._now() - self._rejected_at >= JUDGE_AGAIN

    def _tell_loaded(self) -> None:
        for audience in self._audiences:
            audience.certificates_loaded(
                serial=self.current.serial,
                not_after=self.current.not_after,
                client_ca_not_after=self.current.client_ca_not_after,
                key_is_exposed=_is_exposed(self._files.key),
            )


def _read(files: CertificateFiles) -> _Seen:
    paths = (files.certificate, files.key, files.client_ca)
    return tuple(_content(path) for path in paths if path is not None)


def _content(path: Path) -> bytes | str:
    try:
        if not path.is_file():
            return "is not a file" if path.exists() else "there is no such file"
        with path.open("rb") as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return content if len(content) <= MAX_FILE_BYTES else f"is larger than {MAX_FILE_BYTES} bytes"


def _is_exposed(key: Path) -> bool:
    try:
        return bool(key.stat().st_mode & S_IROTH)
    except OSError:  # replaced at this moment
        return False


def _judge(seen: _Seen, files: CertificateFiles, now: datetime) -> Certificates:
    certificate = _Pem("tls.certificate_file", files.certificate, seen[0])
    key = _Pem("tls.key_file", files.key, seen[1])
    leaf = certificate.certificates()[0]
    _check_key(key, leaf, certificate)
    _check_dates(certificate, leaf, now)
    client_ca = None
    if files.client_ca is not None:
        client_ca = _Pem("tls.client_ca_file", files.client_ca, seen[2])
    return Certificates(
        chain=certificate.content(),
        key=key.content(),
        client_ca=client_ca.content() if client_ca else None,
        serial=f"{leaf.serial_number:x}",
        not_after=leaf.not_valid_after_utc,
        client_ca_not_after=_last_day(client_ca, now) if client_ca else None,
    )


@dataclass(frozen=True, slots=True)
class _Pem:
    """One of the files, with the setting that names it."""

    setting: str
    path: Path
    read: bytes | str = field(repr=False)

    def content(self) -> bytes:
        if isinstance(self.read, str):
            raise self.unusable(self.read)
        return self.read

    def certificates(self) -> list[x509.Certificate]:
        """One or more; raises CertificateUnusable."""
        content = self.content()
        try:
            found = x509.load_pem_x509_certificates(content)
        except ValueError as error:
            raise self.unusable("holds no certificates in PEM, or only a part of one") from error
        if len(found) < content.count(BEGIN_CERTIFICATE):
            raise self.unusable("ends within a certificate; replace files by renaming whole ones")
        return found

    def unusable(self, problem: str) -> CertificateUnusable:
        return CertificateUnusable(f"{self.setting}: {self.path}: {problem}")


def _check_key(key: _Pem, leaf: x509.Certificate, certificate: _Pem) -> None:
    content = key.content()
    try:
        private = load_pem_private_key(content, None)
    except TypeError as error:
        raise key.unusable("is encrypted; store it without a password") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise key.unusable("holds no private key in PEM, or only a part of one") from error
    if not _is_supported(private):
        curves = "P-256 or P-384"
        problem = f"gRPC cannot use this kind of key; make one of RSA (2048 bits) or {curves}"
        raise key.unusable(problem)
    if private.public_key() != _public_key(leaf):
        problem = f"is not the key of the first certificate in {certificate.path}"
        raise key.unusable(f"{problem}; give the two that were made together")


def _public_key(leaf: x509.Certificate) -> object:
    """None for one of a kind that nothing here can be the key of."""
    try:
        return leaf.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return None


def _is_supported(key: object) -> bool:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.key_size >= MIN_RSA_BITS
    return isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES


def _check_dates(certificate: _Pem, leaf: x509.Certificate, now: datetime) -> None:
    if now >= leaf.not_valid_after_utc:
        told = f"expired on {leaf.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; renew it"
        raise certificate.unusable(told)
    if now < leaf.not_valid_before_utc:
        told = f"is not valid before {leaf.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        raise certificate.unusable(f"{told}; check the clock of this machine")


def _last_day(client_ca: _Pem, now: datetime) -> datetime:
    authorities = [one for one in client_ca.certificates() if _may_issue(one)]
    if not authorities:
        raise client_ca.unusable("holds no authority's certificate; give that of the issuer")
    last = max(one.not_valid_after_utc for one in authorities)
    if now >= last:
        raise client_ca.unusable(f"expired on {last:%Y-%m-%d %H:%M} UTC; no client could connect")
    return last


def _may_issue(certificate: x509.Certificate) -> bool:
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return True  # as roots of the first version of X.509 are
    except (ValueError, x509.DuplicateExtension):
        return False  # is not well formed, and TLS would not take it either
    return constraints.value.ca
