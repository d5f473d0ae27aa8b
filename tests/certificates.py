"""Certificates as an operator would have them: an authority, and what it issues."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
DAY = timedelta(days=1)
HERE = (x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1")))


def a_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return key_pem(self.key)

    @property
    def serial(self) -> str:
        return f"{self.certificate.serial_number:x}"


@dataclass(frozen=True)
class Authority:
    """Issues certificates for this machine's own addresses."""

    name: str = "authority"
    key: Key = field(default_factory=a_key)
    days: float = 30
    may_issue: bool | None = True
    """None: it does not say, as roots of the first version of X.509."""

    @cached_property
    def pem(self) -> bytes:
        builder = _builder(self.name, self.name, self.key, self.days)
        if self.may_issue is not None:
            constraints = x509.BasicConstraints(ca=self.may_issue, path_length=None)
            builder = builder.add_extension(constraints, critical=True)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def trusted(self, by: Pair | None = None) -> grpc.ChannelCredentials:
        """For a client that trusts this authority, and shows this certificate of its own."""
        if by is None:
            return grpc.ssl_channel_credentials(self.pem)
        return grpc.ssl_channel_credentials(self.pem, by.key_pem, by.pem)

    def demanding(self) -> grpc.ServerCredentials:
        """For a server of this authority that wants to see a certificate of it."""
        own = self.issue()
        return grpc.ssl_server_credentials(
            [(own.key_pem, own.pem)], self.pem, require_client_auth=True
        )

    def issue(
        self,
        name: str = "server",
        *,
        days: float = 10,
        key: Key | None = None,
        starts_in: float = -20,
        names: Sequence[x509.GeneralName] = HERE,
    ) -> Pair:
        """Valid from `starts_in` days on for as long as until `days` from now.

        Of a subject without a name if `name` is empty.
        """
        key = key or a_key()
        builder = _builder(name, self.name, key, days, starts_in)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return Pair(builder.sign(self.key, hashes.SHA256()), key)


def _builder(
    subject: str, issuer: str, key: Key, days: float, starts_in: float = -20
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts_in * DAY)
        .not_valid_after(now + days * DAY)
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)] if text else [])


def key_pem(key: object) -> bytes:
    """Without a password."""
    private_bytes = key.private_bytes  # type: ignore[attr-defined]  # every private key has it
    content: bytes = private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return content


def put(path: Path, content: bytes) -> Path:
    """Replace a file as a whole, by renaming; only its owner may read it."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.chmod(0o600)
    os.replace(draft, path)
    return path


@dataclass(frozen=True)
class Folder:
    """Where a server looks for its files."""

    path: Path

    @property
    def certificate(self) -> Path:
        return self.path / "tls.crt"

    @property
    def key(self) -> Path:
        return self.path / "tls.key"

    @property
    def client_ca(self) -> Path:
        return self.path / "ca.crt"

    def hold(self, pair: Pair) -> None:
        """Put this pair there, one file after the other."""
        put(self.certificate, pair.pem)
        put(self.key, pair.key_pem)
