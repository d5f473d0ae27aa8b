"""How a client makes sure of the server, and shows who it is itself."""

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import grpc

PEM = b"-----BEGIN "


class TlsUnusable(OSError):
    """A file of the client's own that cannot be used; the message names it."""


@dataclass(frozen=True, slots=True)
class Tls:
    """The `credentials` of an encrypted connection; files are PEM and read when it is opened.

    `ca` holds the authorities that the server's certificate may come from; without it, those
    that gRPC brings along for the public internet. `certificate` and `key` are shown to a server
    that wants to know its clients. `server_name` is looked for in the server's certificate
    instead of the name that is dialled.
    """

    ca: str | PathLike[str] | None = None
    certificate: str | PathLike[str] | None = None
    key: str | PathLike[str] | None = None
    server_name: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError if one half of a pair is missing."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client's certificate and its key belong together: give both")

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files; raises TlsUnusable."""
        return grpc.ssl_channel_credentials(
            _pem(self.ca), private_key=_pem(self.key), certificate_chain=_pem(self.certificate)
        )

    def options(self) -> list[tuple[str, str | int]]:
        """What the channel has to be told besides."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


def _pem(path: str | PathLike[str] | None) -> bytes | None:
    if path is None:
        return None
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise TlsUnusable(f"{path}: cannot be read: {error.strerror}") from error
    if PEM not in content:
        raise TlsUnusable(f"{path}: holds nothing in PEM; give a file with -----BEGIN lines")
    return content
