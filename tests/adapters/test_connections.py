"""Connections are counted at the end that took them, and at the port that is asked for."""

import socket
from contextlib import ExitStack

from moderation.adapters.connections import connections_at


def test_each_connection_counts_once_until_it_is_closed() -> None:
    with ExitStack() as open_:
        listening = open_.enter_context(socket.create_server(("127.0.0.1", 0)))
        other = open_.enter_context(socket.create_server(("::1", 0), family=socket.AF_INET6))
        port, other_port = listening.getsockname()[1], other.getsockname()[1]
        assert connections_at(port) == 0

        for _ in range(3):
            open_.enter_context(socket.create_connection(("127.0.0.1", port)))
            open_.enter_context(listening.accept()[0])
        open_.enter_context(socket.create_connection(("::1", other_port)))
        taken, _ = other.accept()
        with taken:
            counts = connections_at(port), connections_at(other_port)
        after = connections_at(other_port)

    assert counts == (3, 1)
    assert after == 0


def test_a_connection_that_nobody_took_yet_is_not_this_processs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            assert connections_at(port) == 0
