"""Ably: the provider on its official SDK, and our server that speaks Ably's protocol, at Ably's limits."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime_ui.providers.ably import AblyProvider
from tests.doubles.ably import AblyServer


class AblyWire:
    """A server of the test's own."""

    has_outages = True

    def __init__(self, server: AblyServer) -> None:
        self._server = server

    def client(self) -> AblyProvider:
        """Another provider on it."""
        return AblyProvider(self._server.key, endpoint=f"127.0.0.1:{self._server.port}/", tls=False)

    async def cut(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def restore(self) -> None:
        """Listen on the same port."""
        await self._server.start()


@asynccontextmanager
async def ably() -> AsyncIterator[AblyWire]:
    """Providers of one Ably app."""
    async with AblyServer() as server:
        yield AblyWire(server)
