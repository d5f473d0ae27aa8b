"""Keeps an address for the processes of one service, and from everybody else.

Processes share a port by SO_REUSEPORT, and whoever runs as the same user could join
them by mistake. So the port is bound first as if nobody were to share it, which fails
where it is taken, and opened to others of the same wish only then. The socket never
listens: connections go to the workers. While it is held, nobody who does not ask for
sharing can bind the port, also in moments when no worker listens.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

WILDCARDS = ("0.0.0.0", "::")


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """The port, also where 0 was asked for, while the context lasts; raises OSError if taken."""
    with ExitStack() as held:
        for family, address in _addresses(host, port):
            for each in _reserve(family, address, port):
                held.enter_context(each)
                port = port or each.getsockname()[1]
        yield port


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    bare = host.strip("[]")
    try:
        found = socket.getaddrinfo(bare, port or None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise OSError(f"{host}, server.host, is no address: {error.strerror}") from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _reserve(family: socket.AddressFamily, address: str, port: int) -> list[socket.socket]:
    try:
        try:
            first = _bound(family, address, port)
        except OSError:
            # What waits after closed connections, for a minute, is no owner of the port.
            first = _bound(family, address, port, socket.SO_REUSEADDR)
    except OSError as error:
        where = f"{address}:{port}, server.host and server.port"
        raise OSError(f"cannot listen on {where}: {error.strerror}") from error
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sockets = [first]
    with suppress(OSError):  # it must not be bound by others who reuse addresses either
        sockets.append(_bound(family, address, first.getsockname()[1], socket.SO_REUSEPORT))
    return sockets


def _bound(family: socket.AddressFamily, address: str, port: int, *options: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        for option in options:
            made.setsockopt(socket.SOL_SOCKET, option, 1)
        if family == socket.AF_INET6 and address not in WILDCARDS:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made
