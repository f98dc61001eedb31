"""A server that speaks Ably's protocol, on loopback; written from the public specification."""

from tests.doubles.ably.server import AblyServer, Limits

__all__ = ["AblyServer", "Limits"]
