"""Whether the server's ports are free, and who has them if they are not."""

import errno
import socket
from collections.abc import Callable, Iterator

from moderation.cli.examination.findings import Finding, broken, good
from moderation.cli.examination.running import ask_metrics, ask_status
from moderation.settings import Settings


def look(settings: Settings) -> Iterator[Finding]:
    """See Check."""
    server, metrics = settings.server, settings.metrics
    yield _port("server", server.host, server.port, lambda: _server(settings))
    yield _port("metrics", metrics.host, metrics.port, lambda: _metrics(settings))


def _port(section: str, host: str, port: int, owner: Callable[[], str | None]) -> Finding:
    where = f"{section}.port {host}:{port}"
    try:
        _bind(host, port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            cure = f"mend {section}.host or {section}.port"
            return broken(f"cannot be listened on: {error.strerror}", where, cure)
        told = owner()
        if told is not None:
            return good(f"a server of this service runs here: {told}", where)
        return broken(
            "another program listens here, or a server with other settings",
            where,
            f"`ss -ltnp sport = :{port}` names it; end it, or set {section}.port",
        )
    return good("is free", where)


def _bind(host: str, port: int) -> None:
    """Raises OSError; a name or address that means nothing is one, too."""
    name = host.strip("[]") or None
    family, kind, protocol, _, address = socket.getaddrinfo(
        name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    with socket.socket(family, kind, protocol) as probe:
        # As servers do: a port that is only waiting out its last connections is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


def _server(settings: Settings) -> str | None:
    """One that wants a key or a certificate tells nothing here, but its metrics do."""
    metrics = _metrics(settings)
    return ask_status(settings) or (metrics and "it wants a key or certificate")


def _metrics(settings: Settings) -> str | None:
    answer = ask_metrics(settings)
    return "it shows its metrics" if answer is not None and answer.is_ours else None
