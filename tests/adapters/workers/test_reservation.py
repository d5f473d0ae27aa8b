"""An address is one service's: its workers may bind it, and nobody else."""

import socket

import pytest

from moderation.adapters.workers.reservation import reserved

HOST = "127.0.0.1"


def listener(port: int, *options: int) -> socket.socket:
    made = socket.socket()
    for option in options:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        made.bind((HOST, port))
        made.listen()
    except OSError:
        made.close()
        raise
    return made


def a_worker(port: int) -> socket.socket:
    return listener(port, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def another_server(port: int) -> socket.socket:
    return listener(port, socket.SO_REUSEADDR)


def test_workers_share_a_reserved_port_and_get_its_connections() -> None:
    with reserved(HOST, 0) as port, a_worker(port) as one, a_worker(port) as other:
        one.settimeout(5)
        other.setblocking(False)
        accepted = 0
        while accepted < 1:  # the kernel chooses; the reservation itself gets none
            with socket.create_connection((HOST, port)):
                try:
                    other.accept()[0].close()
                except BlockingIOError:
                    one.accept()[0].close()
                    accepted += 1


@pytest.mark.parametrize("workers", [0, 1])
def test_nobody_else_can_bind_it_whether_workers_listen_or_not(workers: int) -> None:
    with reserved(HOST, 0) as port:
        listening = [a_worker(port) for _ in range(workers)]
        try:
            with pytest.raises(OSError, match="in use"):
                another_server(port)
            with (
                pytest.raises(OSError, match=rf"cannot listen on {HOST}:{port}.*server\.port"),
                reserved(HOST, port),
            ):
                pass
        finally:
            for one in listening:
                one.close()


def test_a_port_that_somebody_listens_on_is_refused() -> None:
    with another_server(0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="cannot listen"), reserved(HOST, port):
            pass


def test_closed_connections_do_not_keep_the_next_start_waiting() -> None:
    with (
        reserved(HOST, 0) as port,
        a_worker(port) as worker,
        socket.create_connection((HOST, port)) as client,
    ):
        worker.accept()[0].close()
        client.recv(1)

    with reserved(HOST, port) as again:
        assert again == port
        with pytest.raises(OSError, match="in use"):
            another_server(port)


def test_a_name_is_reserved_at_each_of_its_addresses() -> None:
    with reserved("localhost", 0) as port, pytest.raises(OSError, match="in use"):
        another_server(port)


def test_no_address_is_told() -> None:
    with pytest.raises(OSError, match=r"server\.host, is no address"), reserved("no host", 1):
        pass
