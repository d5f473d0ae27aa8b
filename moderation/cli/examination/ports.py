"""Whether the server's ports are free, and who has them if they are not."""

import errno
import socket
from collections.abc import Callable, Iterator

from moderation.cli.examination.findings import Finding, broken, good
from moderation.cli.examination.running import ask_metrics, ask_status, is_silent
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
        names_it = f"`ss -ltnp sport = :{port}` names it"
        if is_silent(host, port):
            return broken(
                "what listens here answers nothing: a server that hangs or was stopped, or another "
                "program",
                where,
                f"{names_it}; end it, with SIGKILL if it does not hear SIGTERM, and start it anew",
            )
        return broken(
            "another program listens here, or a server with other settings",
            where,
            f"{names_it}; end it, or set {section}.port",
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
    if told := ask_status(settings):
        return told
    server = settings.server
    is_ours = _metrics(settings) is not None and not is_silent(server.host, server.port)
    return "it wants a key or certificate" if is_ours else None


def _metrics(settings: Settings) -> str | None:
    answer = ask_metrics(settings)
    return "it shows its metrics" if answer is not None and answer.is_ours else None
