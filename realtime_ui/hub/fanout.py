"""Sends one frame to a whole room of a Socket.IO namespace with a single encode.

python-socketio's own `emit` encodes once too, but makes a task per recipient. Here the same Engine.IO
packet goes straight onto each socket's queue. This leans on names that engineio and socketio keep to
themselves, so their versions are pinned and a test compares the outcome with the ordinary emit.
"""

from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket
from socketio import AsyncServer
from socketio.packet import EVENT

from realtime_ui.core.messages import Json


class _Encoded(EnginePacket):  # type: ignore[misc]  # engineio ships no types
    """A packet that is encoded once, however many sockets send it."""

    def __init__(self, data: str) -> None:
        super().__init__(MESSAGE, data)
        self._text: str = super().encode()

    def encode(self, b64: bool = False) -> str:
        """The text made at the start."""
        return self._text


def send_to_room(server: AsyncServer, namespace: str, room: str, event: str, data: Json) -> int:
    """Queue an event for every socket in a room.

    Args:
        server: the Socket.IO server.
        namespace: such as `/feed`.
        room: whose members get it.
        event: its name.
        data: JSON; no binary.

    Returns:
        how many sockets got it.
    """
    members = list(server.manager.get_participants(namespace, room)) if namespace in server.manager.rooms else []
    if not members:
        return 0
    packet = _Encoded(server.packet_class(EVENT, namespace=namespace, data=[event, data]).encode())
    sent = 0
    for _, engine_id in members:
        socket = server.eio.sockets.get(engine_id)
        if socket is not None and not socket.closed:
            socket.queue.put_nowait(packet)
            sent += 1
    return sent
