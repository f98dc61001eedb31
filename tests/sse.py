"""Clients of `/api/stream` for tests: httpx-sse over HTTP, which come back like an EventSource."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse

DEADLINE_S = 60


@dataclass
class Listener:
    """One open stream, read by a task."""

    response: httpx.Response
    events: list[ServerSentEvent] = field(default_factory=list)
    over: bool = False
    broken: bool = False
    """Whether it ended without the end that HTTP gives an answer."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def data(self) -> list[dict[str, Any]]:
        """What each event says, heartbeats left out."""
        said = [json.loads(event.data) for event in self.events if event.data]
        return [each for each in said if each["type"] != "heartbeat"]

    @property
    def beats(self) -> list[int]:
        """The heartbeats' timestamps, in ms."""
        said = [json.loads(event.data) for event in self.events if event.data]
        return [each["timestamp"] for each in said if each["type"] == "heartbeat"]

    @property
    def cursor(self) -> str:
        """The last id."""
        return self.events[-1].id

    def seqs(self, channel: str) -> list[int]:
        """The seqs that came on a channel."""
        return [each["seq"] for each in self.data if each["channel"] == channel and "seq" in each]

    async def until(self, condition: Any, *, seconds: float = DEADLINE_S) -> None:
        """Wait until `condition()` holds, looking whenever something came."""
        async with asyncio.timeout(seconds):
            while not condition():
                self._news.clear()
                await self._news.wait()

    def heard(self, event: ServerSentEvent) -> None:
        """Remember an event."""
        self.events.append(event)
        self._news.set()

    def ended(self) -> None:
        """It is over."""
        self.over = True
        self._news.set()


@asynccontextmanager
async def listen(
    url: str, headers: dict[str, str], *channels: str, last_event_id: str = "", **params: Any
) -> AsyncIterator[Listener]:
    """An open stream, or what was answered instead; it is resumable when the block begins."""
    headers = {**headers, **({"Last-Event-ID": last_event_id} if last_event_id else {})}
    async with (
        httpx.AsyncClient(base_url=url, timeout=60) as http,
        aconnect_sse(http, "GET", "/api/stream", params={"channel": channels, **params}, headers=headers) as source,
    ):
        listener = Listener(source.response)
        if not source.response.is_success:
            await source.response.aread()
            yield listener
            return

        async def read() -> None:
            try:
                async for event in source.aiter_sse():
                    listener.heard(event)
            except httpx.TransportError:
                listener.broken = True
            finally:
                listener.ended()

        task = asyncio.create_task(read())
        try:
            await listener.until(lambda: any(event.id for event in listener.events) or listener.over)
            yield listener
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
