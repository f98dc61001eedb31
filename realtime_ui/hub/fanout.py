"""Sends one frame to a whole room of a Socket.IO namespace: one encode, and no task or wake-up a socket.

python-socketio's own `emit` encodes once too, but makes a task per recipient, and engineio's writer then
wakes up for each. Here a frame goes straight to the ASGI server's `send` of every socket that is idle, and
onto the queue of every other, so that order holds whichever way a packet takes.

This leans on names that engineio keeps to itself (`_async["websocket"]`, the writer's use of its queue), so
its version is pinned, and a test compares what arrives with the ordinary emit, packet for packet.
"""

import asyncio
import logging
import time
from typing import Any

from engineio.async_drivers.asgi import WebSocket
from engineio.packet import MESSAGE
from engineio.packet import Packet as EnginePacket
from socketio import AsyncServer
from socketio.packet import EVENT
from starlette.types import ASGIApp, Receive, Scope, Send

from realtime_ui.core.messages import Json

logger = logging.getLogger(__name__)

SCOPE_SEND = "realtime_ui.send"
"""Where an ASGI scope holds the server's own `send`."""


class DirectWebSocket(WebSocket):  # type: ignore[misc]  # engineio ships no types
    """engineio's WebSocket, which can also be written to without waiting."""

    def __init__(self, handler: Any, server: Any) -> None:
        super().__init__(handler, server)
        self._socket: Any = handler.__self__
        self._socket.direct = self
        self._server_send: Any = None
        self._writing = 0
        self.heard = time.monotonic()
        """When something last came, as `time.monotonic()` has it: a browser answers every ping of engineio's."""

    async def __call__(self, environ: dict[str, Any]) -> Any:
        """Serve the socket; its direct writes go past what stands between the server and engineio."""
        self._server_send = environ["asgi.scope"].get(SCOPE_SEND, environ["asgi.send"])
        return await super().__call__(environ)

    async def wait(self) -> Any:
        """What comes next from the other side."""
        message = await super().wait()
        self.heard = time.monotonic()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a packet from the queue, as engineio's writer does."""
        self._writing += 1
        try:
            await super().send(message)
        finally:
            self._writing -= 1

    def write_now(self, message: dict[str, Any]) -> bool:
        """Write a packet at once if nothing is under way on this socket; False if it must take the queue.

        Idle means: no packet on the queue or on its way from there to `send` (engineio marks each done just
        before it sends it), and no earlier write that the transport has not taken yet.
        """
        if self._writing or self._socket.queue._unfinished_tasks or self._server_send is None:
            return False
        self._writing += 1
        self._advance(self._server_send(message).__await__())
        return True

    def abort(self) -> bool:
        """Cut the connection without waiting for what the other side has not read; False where that cannot be."""
        return cut_off(self._server_send)

    def _advance(self, write: Any) -> None:
        """Run a write until it ends or has to wait for the transport; then go on when that is ready."""
        try:
            waits_for = write.send(None)
        except StopIteration:
            self._writing -= 1
        except Exception as error:  # the socket is closing: its own reader sees to that
            logger.debug("A direct write failed: %r", error)
            self._writing -= 1
        else:
            if isinstance(waits_for, asyncio.Future):
                waits_for._asyncio_future_blocking = False  # what a Task does with a future it waits for
                waits_for.add_done_callback(lambda _: self._advance(write))
            else:
                asyncio.get_running_loop().call_soon(self._advance, write)


class _Encoded(EnginePacket):  # type: ignore[misc]
    """A packet that is encoded once, however many sockets send it."""

    def __init__(self, data: str) -> None:
        super().__init__(MESSAGE, data)
        self.text: str = super().encode()
        self.data = self.text  # one copy, however long it waits

    def encode(self, b64: bool = False) -> str:
        """Give the text made at the start."""
        return self.text


def remember_send(app: ASGIApp) -> ASGIApp:
    """Wrap the whole application, so that direct writes can go past all its layers."""

    async def outermost(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("websocket", "http"):
            scope[SCOPE_SEND] = send
        await app(scope, receive, send)

    return outermost


def cut_off(server_send: Any) -> bool:
    """Cut the connection behind a server's own `send` without waiting; False where that cannot be."""
    transport = getattr(getattr(server_send, "__self__", None), "transport", None)
    if transport is None:
        return False
    transport.abort()
    return True


def install_direct_writes(server: AsyncServer) -> None:
    """Have a Socket.IO server use `DirectWebSocket` for the sockets that connect from now on."""
    server.eio._async = {**server.eio._async, "websocket": DirectWebSocket}


def queued_bytes(socket: Any) -> int:
    """How much waits for an Engine.IO socket, in bytes, beyond what its transport and writer hold already."""
    return sum(len(packet.data) for packet in socket.queue._queue if packet and isinstance(packet.data, (str, bytes)))


def is_silent(socket: Any) -> bool:
    """Whether an Engine.IO socket's other side has left a ping unanswered for too long.

    engineio finds that out too, but its looks are 8 s apart and a polite close of a dead peer takes 10 s more.
    """
    direct: DirectWebSocket | None = getattr(socket, "direct", None)
    patience = socket.server.ping_interval + socket.server.ping_timeout - 1
    return direct is not None and time.monotonic() - direct.heard > patience


async def hang_up(socket: Any) -> None:
    """End an Engine.IO socket at once; what waits for it is forgotten."""
    direct: DirectWebSocket | None = getattr(socket, "direct", None)
    if direct is None or not direct.abort():
        await socket.close(wait=False, abort=True)


def sockets_in(server: AsyncServer, namespace: str, room: str) -> int:
    """How many sockets are in a room."""
    return sum(1 for _ in server.manager.get_participants(namespace, room)) if namespace in server.manager.rooms else 0


def send_to_room(server: AsyncServer, namespace: str, room: str | None, event: str, data: Json) -> int:
    """Send an event to every socket in a room.

    Args:
        server: the Socket.IO server.
        namespace: such as `/feed`.
        room: whose members get it; None for every socket of the namespace.
        event: its name.
        data: JSON; no binary.

    Returns:
        how many sockets it went to.
    """
    members = list(server.manager.get_participants(namespace, room)) if namespace in server.manager.rooms else []
    if not members:
        return 0
    packet = _Encoded(server.packet_class(EVENT, namespace=namespace, data=[event, data]).encode())
    message = {"type": "websocket.send", "text": packet.text, "bytes": None}
    sent = 0
    for _, engine_id in members:
        socket = server.eio.sockets.get(engine_id)
        if socket is None or socket.closed or socket.closing:
            continue
        direct: DirectWebSocket | None = getattr(socket, "direct", None)
        if direct is None or not direct.write_now(message):
            socket.queue.put_nowait(packet)
        sent += 1
    return sent
