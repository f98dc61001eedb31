"""Pusher's HTTP API, and what its app signs: the official library makes both, httpx sends."""

import asyncio
from collections.abc import Mapping

import httpx
import pusher
from pusher.http import Request
from pusher.pusher_client import PusherClient

from realtime_ui.core.errors import ProviderUnavailable
from realtime_ui.core.messages import Json
from realtime_ui.providers.pusher_errors import from_exception, from_status

ANSWER_S = 4.0


class PusherApi:
    """An app's calls. `open` and `close` own the connections.

    Args:
        url: where the API is.
        app_id: the app's id.
        key: the app's key.
        secret: the app's secret.
    """

    def __init__(self, url: str, app_id: str, key: str, secret: str) -> None:
        self._url = url
        self._path = f"/apps/{app_id}"
        self._signer = pusher.Pusher(app_id, key, secret)
        self._account = PusherClient(app_id, key, secret)
        self._http: httpx.AsyncClient | None = None

    def open(self) -> None:
        """Be ready to call."""
        self._http = self._http or httpx.AsyncClient(base_url=self._url, timeout=ANSWER_S, trust_env=False)

    async def close(self) -> None:
        """End the connections."""
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    async def call(self, method: str, path: str, content: Mapping[str, Json]) -> None:
        """One signed call.

        Args:
            method: GET, with `content` as the query; or POST, with it as the body.
            path: within the app.
            content: what is sent.

        Raises:
            RealtimeError: what `pusher_errors` makes of the answer, or of none.
        """
        if self._http is None:
            raise ProviderUnavailable("Pusher is not connected.", remedy="Call connect() first.")
        # Pusher's own way to it would send it too, with `requests`, and block.
        request = Request(self._account, method, self._path + path, dict(content))
        try:
            async with asyncio.timeout(ANSWER_S):  # httpx bounds each of its steps, not all of them
                answer = await self._http.request(
                    method, request.signed_path, content=request.body, headers=request.headers
                )
        except Exception as cause:
            raise from_exception(cause) from cause
        if not answer.is_success:
            raise from_status(answer.status_code, answer.text)

    def authorise(self, name: str, socket_id: str, member: dict[str, str] | None = None) -> dict[str, str]:
        """What a socket shows to hear a private channel, or to be `member` on a presence channel."""
        signed: dict[str, str] = self._signer.authenticate(name, socket_id, member)
        return signed
