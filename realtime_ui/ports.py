"""The port that the parent holds and its workers share: each listens on a socket of its own (SO_REUSEPORT)."""

import socket


def check(host: str, port: int) -> None:
    """See that nobody has a port.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: which one.

    Raises:
        OSError: somebody has it, whether they share it or not, and whether they listen already or not.
    """
    _bound(host, port, socket.SO_REUSEADDR).close()


def hold(host: str, port: int) -> socket.socket:
    """Have a port that was checked, without listening: `check` fails from now on, `share` does not."""
    try:
        return _bound(host, port, socket.SO_REUSEPORT)
    except OSError:
        # Another program's last connections are remembered there for a minute. To be bound beside them is to let
        # others be bound, too, until a worker listens.
        return share(host, port)


def share(host: str, port: int) -> socket.socket:
    """A socket to listen with, beside others; the kernel shares connections out among those that listen."""
    return _bound(host, port, socket.SO_REUSEADDR, socket.SO_REUSEPORT)


def _bound(host: str, port: int, *options: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    try:
        for option in options:
            bound.setsockopt(socket.SOL_SOCKET, option, 1)
        bound.bind(address)
    except BaseException:
        bound.close()
        raise
    return bound
