"""TLS as gRPC takes it: each handshake gets the certificates that are in force by then."""

from collections.abc import Callable
from typing import Protocol

import grpc


class Certificates(Protocol):
    """In PEM. What is given must suit: gRPC keeps the former ones otherwise, and tells nobody."""

    @property
    def chain(self) -> bytes:
        """The server's certificate, then those that lead to its authority."""
        ...

    @property
    def key(self) -> bytes:
        """Of the server's certificate."""
        ...

    @property
    def client_ca(self) -> bytes | None:
        """Whose certificates clients must show; None, always, if they need none."""
        ...


def tls_credentials(current: Callable[[], Certificates]) -> grpc.ServerCredentials:
    """Credentials that ask `current` at every handshake, on gRPC's threads; it must be quick.

    TLS 1.2 is the least that gRPC agrees to. Clients can be asked for a certificate only by
    refusing those that have none: grpcio offers no other way.
    """
    handed = current()

    def replaced() -> grpc.ServerCertificateConfiguration | None:
        nonlocal handed
        latest = current()
        if latest is handed:
            return None  # a new configuration would cost every handshake a new context
        handed = latest
        return _configuration(latest)

    return grpc.dynamic_ssl_server_credentials(
        _configuration(handed),
        replaced,  # type: ignore[arg-type]  # the stub does not know that None is an answer
        require_client_authentication=handed.client_ca is not None,
    )


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.chain)
    return grpc.ssl_server_certificate_configuration([pair], certificates.client_ca)
