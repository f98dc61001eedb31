"""The port of an app: held by its parent, shared by its workers, nobody else's."""

import socket

import pytest

from realtime_ui import ports
from tests.app import free_port

HERE = "127.0.0.1"


def test_a_held_port_is_free_for_the_own_workers_alone() -> None:
    """Before anybody listens on it, while somebody does, and no longer when all have closed it."""
    port = free_port()
    ports.check(HERE, port)
    with ports.hold(HERE, port):
        with pytest.raises(OSError, match="in use"):
            ports.check(HERE, port)
        with ports.share(HERE, port) as worker:
            worker.listen()
            with pytest.raises(OSError, match="in use"):
                ports.check(HERE, port)
    ports.check(HERE, port)


def test_a_port_that_another_program_just_left_can_be_had() -> None:
    """Its last connections are still remembered by the kernel."""
    with socket.socket() as before:
        before.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        before.bind((HERE, 0))
        before.listen()
        port = before.getsockname()[1]
        with socket.create_connection((HERE, port)) as client:
            accepted, _ = before.accept()
            accepted.close()
            assert client.recv(1) == b""
    ports.check(HERE, port)
    with ports.hold(HERE, port) as held, ports.share(HERE, port) as worker:
        assert held
        worker.listen()


def test_a_connection_goes_to_one_that_listens() -> None:
    """Not to the one that holds the port."""
    with ports.hold(HERE, 0) as held:
        port = held.getsockname()[1]
        with ports.share(HERE, port) as worker:
            worker.listen()
            for _ in range(20):
                with socket.create_connection((HERE, port), timeout=1):
                    worker.accept()[0].close()
