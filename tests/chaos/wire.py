"""A tab's WebSocket, speaking Engine.IO and Socket.IO by hand, so that hundreds cost little in one process."""

import asyncio
import json
import re
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import websockets

OPEN_S = 10
SMALL_BUFFER, SMALL_SEGMENT = 4_096, 536
CONNECTED, DISCONNECTED, EVENT, ANSWER, REFUSED = "01234"
BEAT = '42/feed,["beat"'
_PACKET = re.compile(r"4([0-4])(?:(/[^,]*),)?(\d*)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Packet:
    """A Socket.IO packet: its kind, its namespace, the number of the question it answers, and its data."""

    kind: str
    namespace: str
    number: int | None
    data: Any

    @classmethod
    def parse(cls, text: str) -> "Packet":
        """Read a packet as it came."""
        match = _PACKET.fullmatch(text)
        assert match, f"not a packet: {text[:200]}"
        kind, namespace, number, data = match.groups()
        return cls(kind, namespace or "/", int(number) if number else None, json.loads(data) if data else None)


class Wire:
    """An open WebSocket."""

    def __init__(self, connection: websockets.ClientConnection, dead_s: float, token: str) -> None:
        self._connection = connection
        self._dead_s = dead_s
        self.token = token
        """The Reflex client token, as the server said last."""

    async def connect(self, namespace: str) -> None:
        """Ask to be let into a namespace."""
        await self._connection.send(f"40{namespace},")

    async def send(self, namespace: str, event: str, data: Any = None, *, number: int | None = None) -> None:
        """Send an event; with a number, an answer of that number is asked for."""
        asked = "" if number is None else str(number)
        await self._connection.send(f"42{namespace},{asked}{json.dumps([event, data])}")

    async def packets(self) -> AsyncIterator[Packet]:
        """What comes, until the socket ends; pings and heartbeats are answered.

        Raises:
            TimeoutError: nothing came for so long that the server cannot be there: it pings more often.
            websockets.ConnectionClosed: the connection was lost.
        """
        while True:
            async with asyncio.timeout(self._dead_s):
                text = await self._connection.recv()
            assert isinstance(text, str)
            if text == "2":
                await self._connection.send("3")
            elif text.startswith(BEAT):
                beat = Packet.parse(text)
                await self.send(beat.namespace, *beat.data)
            elif text.startswith("4"):
                packet = Packet.parse(text)
                if packet.kind == EVENT and packet.data[0] == "new_token":
                    self.token = packet.data[1]
                yield packet
            elif text == "1":
                return

    def abort(self) -> None:
        """Vanish without a word, as a device does that loses power."""
        self._connection.transport.abort()


@asynccontextmanager
async def open_wire(
    port: int, cookie: str, *, token: str | None = None, small_buffer: bool = False
) -> AsyncIterator[Wire]:
    """A WebSocket to the app on a port of loopback, closed after the block.

    Args:
        port: the app's, or a proxy's.
        cookie: the `Cookie` header.
        token: the Reflex client token, which a tab keeps over a reload; a new one when None.
        small_buffer: let little wait in the system, so that a reader who stops is soon felt.

    Raises:
        OSError, TimeoutError, websockets.WebSocketException: it cannot be opened.
    """
    line = socket.socket()
    line.setblocking(False)
    if small_buffer:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        # The other side's buffer grows with the size of a segment, and loopback's are of 64 KB.
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SMALL_SEGMENT)
    try:
        async with asyncio.timeout(OPEN_S):
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", port))
    except BaseException:
        line.close()
        raise
    token = token or uuid.uuid4().hex
    address = f"ws://localhost:{port}/_event/?token={token}&EIO=4&transport=websocket"
    async with websockets.connect(
        address,
        sock=line,
        additional_headers={"Cookie": cookie},
        compression=None,
        max_size=None,
        open_timeout=OPEN_S,
        close_timeout=1,
        ping_interval=None,
    ) as connection:
        greeting = await connection.recv()
        assert isinstance(greeting, str)
        engine = json.loads(greeting[1:])  # after Engine.IO's `0`
        yield Wire(connection, (engine["pingInterval"] + engine["pingTimeout"]) / 1000, token)
