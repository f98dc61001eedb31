"""A socket that does not read: it leaves its rooms, is told, comes back by seq, and costs a bounded amount."""

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import websockets

from tests.app import App
from tests.tab import Tab, open_tab

LARGE = "x" * 60_000
PACKETS_AT_MOST = 1_000


class StoppedReader:
    """A WebSocket that speaks Socket.IO by hand and reads only when told to, through a small window."""

    def __init__(self, line: websockets.ClientConnection) -> None:
        self._line = line

    async def sub(self, channel: str, **wish: Any) -> None:
        """Send a `sub`; nobody reads the answer yet."""
        await self._line.send(
            "42/feed,7" + json.dumps(["sub", {"channel": channel, "last": None, "epoch": "", **wish}])
        )

    async def packets(self) -> AsyncIterator[tuple[str, Any]]:
        """What came, as (event or `answer`, data)."""
        while True:
            packet = await self._line.recv()
            assert isinstance(packet, str)
            if packet == "2":
                await self._line.send("3")
            elif packet.startswith("43/feed,"):
                yield "answer", json.loads(packet[packet.index("[") :])[0]
            elif packet.startswith("42/feed,"):
                event, *data = json.loads(packet[packet.index("[") :])
                yield event, data[0] if data else None

    async def next(self, wanted: str) -> Any:
        """The data of the next packet of a kind."""
        packets = self.packets()
        while (packet := await anext(packets))[0] != wanted:
            pass
        return packet[1]


@asynccontextmanager
async def stopped_reader(app: App, cookie: str) -> AsyncIterator[StoppedReader]:
    """One that is connected."""
    small = socket.socket()
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    small.setblocking(False)
    await asyncio.get_running_loop().sock_connect(small, ("127.0.0.1", app.process.port))
    url = f"ws://localhost:{app.process.port}/_event/?EIO=4&transport=websocket&token={uuid.uuid4()}"
    async with websockets.connect(
        url,
        sock=small,
        additional_headers={"Cookie": cookie},
        compression=None,
        max_queue=1,
        max_size=None,
        ping_interval=None,
        close_timeout=1,
    ) as line:
        await line.send("40/feed,")
        while not str(await line.recv()).startswith("40/feed"):
            pass
        yield StoppedReader(line)


async def watching(tab: Tab, channel: str) -> int:
    """How many tabs watch a channel."""
    rows = (await tab.call("lobby"))["rows"]
    return next((int(row["watching"]) for row in rows if row["channel"] == channel), 0)


async def emit(app: App, identity: str, text: str, count: int = 1) -> None:
    """Events of a project."""
    event: tuple[str, dict[str, object]] = ("project.updated", {"projectId": identity, "text": text})
    await asyncio.to_thread(app.emit, *[event] * count)


async def test_a_stopped_reader_leaves_its_rooms_and_comes_back_by_seq_when_it_has_read(app: App) -> None:
    """Who reads meanwhile misses nothing, and neither does it, in the end."""
    identity = uuid.uuid4().hex[:12]
    channel = f"project:{identity}"
    cookie = app.cookie("ada@northwind.test")
    async with open_tab(app.url, cookie) as tab, stopped_reader(app, cookie) as stopped:
        await tab.sub(channel)
        await stopped.sub(channel)
        answer = await stopped.next("answer")
        sent = 0
        async with asyncio.timeout(60):
            while sent < PACKETS_AT_MOST and (sent < 20 or await watching(tab, channel) > 1):
                await emit(app, identity, LARGE, 5)  # it must be full before it is hung up as silent
                sent += 5
        assert await watching(tab, channel) == 1
        for _ in range(5):
            await emit(app, identity, "while it is away")
        sent += 5

        seqs: list[int] = []
        async for kind, data in stopped.packets():
            if kind == "behind":
                break
            if kind == "frame":  # beats and notices of health come between them
                seqs += [row["seq"] for row in data["rows"]]
                answer["epoch"] = data["epoch"]
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) < sent
        more = True
        while more:
            await stopped.sub(channel, last=seqs[-1], epoch=answer["epoch"])
            answer = await stopped.next("answer")
            seqs += [row["seq"] for row in answer["rows"]]
            more = answer["more"]
        assert seqs == list(range(1, sent + 1))
        await emit(app, identity, "live again")
        assert [row["seq"] for row in (await stopped.next("frame"))["rows"]] == [sent + 1]
        await tab.until(lambda: tab.seqs(channel) == list(range(1, sent + 2)))


async def test_a_reader_who_asks_and_asks_and_never_reads_is_hung_up(app: App) -> None:
    """Pages that nobody takes would fill the server."""
    identity = uuid.uuid4().hex[:12]
    cookie = app.cookie("max@northwind.test")
    for _ in range(5):
        await emit(app, identity, LARGE)
    async with stopped_reader(app, cookie) as stopped:
        try:
            async with asyncio.timeout(60):
                while True:
                    await stopped.sub(f"project:{identity}", rewind=5)
                    await asyncio.sleep(0.01)
        except websockets.ConnectionClosed:
            return
    raise AssertionError("it was never hung up")
