"""`EventClient`: emits events from any Python program, and follows channels, over HTTP.

    async with EventClient("http://localhost:3000", key) as client:
        await client.emit("project.updated", {"projectId": "abc123", "changes": {"status": "completed"}})
        async for message in client.stream("project:abc123"):
            print(message["type"], message["data"])

It needs only httpx, and httpx-sse where it follows. A failed try is repeated under the same ids, so a repeat is
never a second event.
"""

import asyncio
import math
import random
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Any

import httpx

from realtime_ui.answers import (
    RETRY_STATUSES,
    EmitError,
    NotOurAnswer,
    answer_of,
    is_receipt,
    media_type,
    message_of,
    refusal_of,
    what_of,
)

__all__ = ["EmitError", "EventClient", "EventStream", "NotOurAnswer"]

BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 5.0
WAIT_MAX_S = 60.0
"""A stream waits no longer than this before it connects again, whatever the server asks for."""
REQUEST_TIMEOUT_S = 10.0
SILENCE_S = 200.0
"""After how many seconds without a heartbeat a stream counts as dead; more than the longest timeout by default."""


class EventClient:
    """An async client of the HTTP API.

    Args:
        url: the app's address, `http://localhost:3000`.
        key: an API key.
        patience_s: how many seconds of failed tries to ride out before giving up.
        transport: another httpx transport, for tests.
    """

    def __init__(
        self, url: str, key: str, *, patience_s: float = 30.0, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._patience_s = patience_s
        self._http = httpx.AsyncClient(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(REQUEST_TIMEOUT_S),
            transport=transport,
        )

    async def __aenter__(self) -> "EventClient":
        """The client itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End the connections."""
        await self._http.aclose()

    async def emit(self, type: str, payload: Mapping[str, Any], *, id: str | None = None) -> dict[str, Any]:
        """Emit one event; returns its receipt `{id, type, channels: [{channel, seq, epoch}], duplicate}`.

        Args:
            type: such as `project.updated`.
            payload: names the ids that the type's route needs.
            id: an own id; made here when None.

        Raises:
            EmitError: the server refused it, is away for longer than `patience_s` or asks for a longer wait.
            NotOurAnswer: something else answered in its place, such as a sign-in page of the network.
            httpx.TransportError: the server could not be reached for `patience_s` seconds.
        """
        return (await self.emit_many([{"type": type, "payload": dict(payload), "id": id}]))[0]

    async def emit_many(self, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Emit up to 1,000 events `{type, payload, id?}`, stored whole or not at all; one receipt each."""
        body = [{**event, "id": event.get("id") or uuid.uuid4().hex} for event in events]

        def right(answer: Any) -> bool:
            events = answer.get("events")
            return isinstance(events, list) and len(events) == len(body) and all(map(is_receipt, events))

        receipts: list[dict[str, Any]] = (await self._retry("POST", "/api/events", right, body))["events"]
        return receipts

    async def set_title(self, channel: str, title: str | None) -> None:
        """Give a channel a title for people. Raises as `emit` does."""
        await self._retry("PUT", f"/api/channels/{channel}", lambda answer: "channel" in answer, {"title": title})

    async def history(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """A page of a channel: `{channel, title, epoch, first, last, messages}`. Raises as `emit` does."""
        asked = {"after": after, "before": before, "limit": limit}
        params = {name: value for name, value in asked.items() if value is not None}

        def right(answer: Any) -> bool:
            return isinstance(answer.get("messages"), list)

        return await self._retry("GET", f"/api/channels/{channel}/history", right, None, params)

    def stream(self, *channels: str, cursor: str | None = None, rewind: int = 0) -> "EventStream":
        """Follow channels: `async for message in client.stream("project:abc123")`.

        Args:
            channels: such as `project:abc123`.
            cursor: where to go on, the `cursor` of an earlier stream.
            rewind: how many earlier messages of each channel to begin with, where the cursor does not name it.
        """
        return EventStream(self._http, channels, cursor, rewind, self._patience_s)

    async def _retry(
        self,
        method: str,
        path: str,
        right: Callable[[Any], bool],
        body: object,
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Send until an answer comes for which `right` holds; no wait goes beyond the patience."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._patience_s
        pause = BACKOFF_MIN_S
        while True:
            wait = pause * random.uniform(0.5, 1.5)
            try:
                return answer_of(await self._http.request(method, path, json=body, params=params), right)
            except (httpx.TransportError, httpx.DecodingError):
                if loop.time() + wait > give_up_at:
                    raise
            except EmitError as error:
                wait = max(wait, error.retry_after_s)
                if not error.may_pass or loop.time() + wait > give_up_at:
                    raise
            await asyncio.sleep(wait)
            pause = min(pause * 2, BACKOFF_MAX_S)


class EventStream:
    """What happens on some channels, for as long as it is iterated; made by `EventClient.stream`.

    Each message is `{channel, seq, epoch, id, type, data, timestamp}`, once and in its channel's order, whatever
    connections and servers it takes. An ephemeral message has no seq. `{type: "gap", channel, first, last}` says
    which messages the log no longer had. `{type: "reset", channel, after}` says that the log is not the one that was
    followed so far: it went back in a failover, or was restored. What came before is void; messages follow from
    `after` on, and `history` has those up to it.

    Attributes:
        cursor: where the last message stands; kept somewhere, a later stream goes on from it.
    """

    def __init__(
        self, http: httpx.AsyncClient, channels: Sequence[str], cursor: str | None, rewind: int, patience_s: float
    ) -> None:
        self.cursor = cursor
        self._http = http
        self._params: dict[str, Any] = {"channel": list(channels), "rewind": rewind}
        self._patience_s = patience_s
        self._retry_s = 2.0
        self._connected = False

    def __aiter__(self) -> AsyncGenerator[dict[str, Any], None]:
        """The messages; see `follow`."""
        return self.follow()

    async def follow(self) -> AsyncGenerator[dict[str, Any], None]:
        """Follow, and reconnect by itself after whatever happens.

        Raises:
            EmitError: the server refuses, such as after the key was revoked, or ends the stream for good.
            NotOurAnswer: something else has answered in its place for `patience_s` seconds. A proxy that says by 408,
                429, 502, 503 or 504 that the server is away counts as that only before the first connection.
            httpx.TransportError: the server could not be reached for `patience_s` seconds at the first time.
        """
        loop = asyncio.get_running_loop()
        give_up_at = astray_until = loop.time() + self._patience_s
        pause = BACKOFF_MIN_S
        while True:
            self._connected = False
            wait = pause * random.uniform(0.5, 1.5)
            try:
                async with aclosing(self._connection()) as messages:
                    async for message in messages:
                        yield message
            except (httpx.TransportError, httpx.DecodingError):
                if not self._connected and loop.time() + wait > give_up_at:
                    raise
            except EmitError as error:
                wait = min(max(wait, error.retry_after_s), WAIT_MAX_S)
                # A proxy says by its status that the server is away, whatever page comes with it.
                is_astray = isinstance(error, NotOurAnswer) and error.status not in RETRY_STATUSES
                until = astray_until if is_astray else give_up_at
                if not error.may_pass or loop.time() + wait > until:
                    raise
            if self._connected:
                give_up_at, astray_until = math.inf, loop.time() + self._patience_s
                pause = self._retry_s
                wait = max(wait, pause * random.uniform(0.5, 1.5))
            await asyncio.sleep(wait)
            pause = min(pause * 2, BACKOFF_MAX_S)

    async def _connection(self) -> AsyncGenerator[dict[str, Any], None]:
        from httpx_sse import aconnect_sse

        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        timeout = httpx.Timeout(10.0, read=SILENCE_S)
        async with aconnect_sse(
            self._http, "GET", "/api/stream", params=self._params, headers=headers, timeout=timeout
        ) as source:
            if not source.response.is_success:
                try:
                    async with asyncio.timeout(REQUEST_TIMEOUT_S):
                        await source.response.aread()
                except TimeoutError as error:
                    raise httpx.ReadTimeout("A refusal did not come to its end.") from error
                raise refusal_of(source.response)
            if media_type(source.response) != "text/event-stream":
                raise NotOurAnswer(source.response, what_of(source.response))
            async with aclosing(source.aiter_sse()) as events:
                async for event in events:
                    if event.retry is not None:
                        self._retry_s = min(max(event.retry / 1000, BACKOFF_MIN_S), WAIT_MAX_S)
                    message = message_of(source.response, event.data)
                    self._connected = True
                    self.cursor = event.id or self.cursor
                    if message and message["type"] == "closed":
                        raise EmitError(message["code"], message)
                    if message and message["type"] != "heartbeat":
                        yield message
