"""The port that the parent holds and its workers share: each listens on a socket of its own (SO_REUSEPORT)."""

import socket

ADDRESS, PORT = socket.SO_REUSEADDR, socket.SO_REUSEPORT


def check(host: str, port: int) -> None:
    """See that nobody has a port.

    Args:
        host: a name or an address, IPv4 or IPv6.
        port: which one.

    Raises:
        OSError: somebody has it, whether they would share it or not.
    """
    _bound(host, port, ADDRESS).close()


def hold(host: str, port: int) -> socket.socket:
    """Have a port without listening on it, so that `check` fails for everybody else; only `share` is possible then."""
    return _bound(host, port, PORT)  # SO_REUSEADDR would let others in while nobody listens


def share(host: str, port: int) -> socket.socket:
    """A socket to listen with, beside others; the kernel shares connections out among those that listen."""
    return _bound(host, port, ADDRESS, PORT)


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
