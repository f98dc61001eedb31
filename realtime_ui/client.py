"""`EventClient`: emits events from any Python program, over HTTP.

    async with EventClient("http://localhost:3000", key) as client:
        await client.emit("project.updated", {"projectId": "abc123", "changes": {"status": "completed"}})

It needs only httpx. A failed try is repeated under the same ids, so a repeat is never a second event.
"""

import asyncio
import random
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

import httpx

RETRY_STATUSES = {429, 502, 503, 504}
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.2, 5.0


class EmitError(Exception):
    """The server refused the events; trying again will not help.

    Attributes:
        status: the HTTP status.
        problem: the RFC 9457 problem details, with `detail`, and `field` and `remedy` where known.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        parts = [problem.get("detail") or problem.get("title") or f"HTTP {status}", problem.get("remedy")]
        where = f" (at {problem['field']})" if problem.get("field") else ""
        super().__init__(" ".join(str(part) for part in parts if part) + where)
        self.status = status
        self.problem = dict(problem)


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
            timeout=httpx.Timeout(10.0),
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
            EmitError: the server refused it.
            httpx.TransportError: the server could not be reached for `patience_s` seconds.
        """
        return (await self.emit_many([{"type": type, "payload": dict(payload), "id": id}]))[0]

    async def emit_many(self, events: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Emit up to 1,000 events `{type, payload, id?}`, stored whole or not at all; one receipt each."""
        body = [{**event, "id": event.get("id") or uuid.uuid4().hex} for event in events]
        response = await self._retry("POST", "/api/events", body)
        receipts: list[dict[str, Any]] = response.json()["events"]
        return receipts

    async def set_title(self, channel: str, title: str | None) -> None:
        """Give a channel a title for people. Raises as `emit` does."""
        await self._retry("PUT", f"/api/channels/{channel}", {"title": title})

    async def history(
        self, channel: str, *, after: int | None = None, before: int | None = None, limit: int = 100
    ) -> dict[str, Any]:
        """A page of a channel: `{channel, title, epoch, first, last, messages}`. Raises as `emit` does."""
        asked = {"after": after, "before": before, "limit": limit}
        params = {name: value for name, value in asked.items() if value is not None}
        response = await self._retry("GET", f"/api/channels/{channel}/history", None, params)
        page: dict[str, Any] = response.json()
        return page

    async def _retry(
        self, method: str, path: str, body: object, params: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._patience_s
        pause = BACKOFF_MIN_S
        while True:
            wait = pause * random.uniform(0.5, 1.5)
            try:
                response = await self._http.request(method, path, json=body, params=params)
            except httpx.TransportError:
                if loop.time() + wait > give_up_at:
                    raise
            else:
                if response.is_success:
                    return response
                if response.status_code not in RETRY_STATUSES or loop.time() + wait > give_up_at:
                    raise EmitError(response.status_code, _problem(response))
                wait = max(wait, float(response.headers.get("retry-after", 0)))
            await asyncio.sleep(wait)
            pause = min(pause * 2, BACKOFF_MAX_S)


def _problem(response: httpx.Response) -> Mapping[str, Any]:
    try:
        body = response.json()
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {"detail": f"HTTP {response.status_code}: {response.text[:200]}"}
