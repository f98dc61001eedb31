"""Bounds how deep the packets are nested that a Socket.IO server reads.

A packet beyond the bound is read as the event `too_deep`, with its own id, so that the sender gets an answer;
its content is never parsed, so nothing that handles it can recurse.
"""

from types import SimpleNamespace
from typing import Any

from socketio import AsyncServer

from realtime_ui.core.payloads import MAX_DEPTH, is_too_deep

PACKET_DEPTH = MAX_DEPTH + 6
"""A payload's own levels, and those of the event around it."""
TOO_DEEP = "too_deep"


def bound_packets(server: AsyncServer) -> None:
    """Have a Socket.IO server refuse packets that are nested too deeply."""
    inner = server.packet_class.json

    def loads(text: str, **options: Any) -> Any:
        if is_too_deep(text, PACKET_DEPTH):
            return [TOO_DEEP] if text.startswith("[") else {}  # an object is what a connect packet has
        return inner.loads(text, **options)

    codec = SimpleNamespace(dumps=inner.dumps, loads=loads)
    server.packet_class = type("BoundedPacket", (server.packet_class,), {"json": codec})
