"""A server that speaks the protocol of Pusher Channels on loopback: WebSocket (protocol 7) and HTTP API."""

from tests.doubles.pusher.server import PusherServer

__all__ = ["PusherServer"]
