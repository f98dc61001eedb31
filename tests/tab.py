"""A tab without a browser: the real Socket.IO client, speaking to the app as the page's JavaScript does."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio

DEADLINE_S = 60


class Tab:
    """One WebSocket with both namespaces.

    Args:
        url: the app's address.
        cookie: the `Cookie` header, or None for a stranger.
    """

    def __init__(self, url: str, cookie: str | None) -> None:
        self.client = socketio.AsyncClient(reconnection=False)
        self.token = uuid.uuid4().hex
        """As a page begins; the server answers with one of its own making, as with every other's."""
        self._url = url
        self._headers = {"Cookie": cookie} if cookie else {}
        self.frames: list[dict[str, Any]] = []
        self.lobby: list[list[dict[str, Any]]] = []
        self.titles: dict[str, str | None] = {}
        self.updates: list[dict[str, Any]] = []
        self.health: list[dict[str, Any]] = []
        self.presence: list[dict[str, Any]] = []
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.beats: list[dict[str, Any]] = []
        self.you: dict[str, Any] = {}
        self.answers_beats = True
        self._news = asyncio.Event()
        self.client.on("behind", self._behind, namespace="/feed")
        self.client.on("beat", self._beat, namespace="/feed")
        self.client.on("frame", self._frame, namespace="/feed")
        self.client.on("you", self._you, namespace="/feed")
        self.client.on("lobby", self._lobby, namespace="/feed")
        self.client.on("titles", self._titles, namespace="/feed")
        self.client.on("health", self._health, namespace="/feed")
        self.client.on("presence", self._presence, namespace="/feed")
        self.client.on("event", self._update, namespace="/_event")
        self.client.on("new_token", self._new_token, namespace="/_event")

    async def connect(self, *namespaces: str, headers: dict[str, str] | None = None, page: str | None = None) -> None:
        """Connect to the namespaces named; with a page's path, Reflex loads it, as it does for a browser."""
        await self.client.connect(
            f"{self._url}?token={self.token}",
            headers={**self._headers, **(headers or {})},
            auth={"event": _event("reflex___state____state.hydrate_and_load", page)} if page else None,
            socketio_path="_event",
            transports=["websocket"],
            namespaces=list(namespaces),
            wait_timeout=DEADLINE_S,
        )

    async def call(self, event: str, data: Any = None) -> Any:
        """Send an event of `/feed` and return its answer."""
        return await self.client.call(event, data, namespace="/feed", timeout=DEADLINE_S)

    async def sub(self, channel: str, **wish: Any) -> dict[str, Any]:
        """Subscribe once; returns the answer."""
        answer: dict[str, Any] = await self.call("sub", {"channel": channel, "last": None, "epoch": "", **wish})
        return answer

    async def event(self, name: str, payload: dict[str, Any] | None = None) -> None:
        """Call a Reflex event handler by name, as any socket can."""
        await self.client.emit("event", _event(name, "/", payload), namespace="/_event")

    def seqs(self, channel: str) -> list[int]:
        """The seqs that came in frames of a channel."""
        return [row["seq"] for frame in self.frames if frame["channel"] == channel for row in frame["rows"]]

    async def until(self, condition: Any) -> None:
        """Wait until `condition()` holds, looking whenever something came."""
        async with asyncio.timeout(DEADLINE_S):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def _frame(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)
        self._news.set()

    async def _behind(self) -> None:
        """Go on as a page does that read too slowly, which a busy machine can make of this one."""
        for channel, epoch in {frame["channel"]: frame["epoch"] for frame in self.frames}.items():
            last, more = max(self.seqs(channel), default=0), True
            while more:
                answer = await self.sub(channel, last=last, epoch=epoch)
                await self._frame({"channel": channel, "epoch": answer["epoch"], "rows": answer["rows"]})
                last, more = max(self.seqs(channel), default=0), answer["more"]

    async def _you(self, you: dict[str, Any]) -> None:
        self.you = you
        self._news.set()

    async def _lobby(self, rows: list[dict[str, Any]]) -> None:
        self.lobby.append(rows)
        self._news.set()

    async def _titles(self, titles: dict[str, str | None]) -> None:
        self.titles |= titles
        self._news.set()

    async def _health(self, health: dict[str, Any]) -> None:
        self.health.append(health)
        self._news.set()

    async def _beat(self, beat: dict[str, Any]) -> None:
        self.beats.append(beat)
        self._news.set()
        if self.answers_beats:
            await self.client.emit("beat", {"type": beat["type"], "timestamp": beat["timestamp"]}, namespace="/feed")

    async def _presence(self, diff: dict[str, Any]) -> None:
        self.presence.append(diff)
        self._news.set()

    async def _new_token(self, token: str) -> None:
        self.token = token
        self._news.set()

    async def _update(self, update: dict[str, Any]) -> None:
        self.updates.append(update)
        self._news.set()


def _event(name: str, page: str, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "payload": payload or {}, "router_data": {"pathname": page, "asPath": page}}


@asynccontextmanager
async def open_tab(url: str, cookie: str | None, *namespaces: str, page: str | None = None) -> AsyncIterator[Tab]:
    """A connected tab, disconnected after the block; see `Tab.connect` for `page`."""
    tab = Tab(url, cookie)
    await tab.connect(*(namespaces or ("/_event", "/feed")), page=page)
    try:
        yield tab
    finally:
        await tab.client.disconnect()
        await tab.client.eio.http.close() if tab.client.eio.http else None
