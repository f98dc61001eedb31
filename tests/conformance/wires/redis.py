"""The provider on Redis, on a real Valkey of the test's own, and on a real Redis where one is installed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime_ui.providers.base import RealtimeProvider
from realtime_ui.providers.redis import RedisProvider
from tests.valkey import SERVERS, Valkey


class RedisWire:
    """A server that several clients share."""

    has_outages = True

    def __init__(self, server: Valkey) -> None:
        self._server = server

    def client(self) -> RealtimeProvider:
        """Another client of it."""
        return RedisProvider(self._server.url)

    async def cut(self) -> None:
        """Kill it."""
        await asyncio.to_thread(self._server.kill)

    async def restore(self) -> None:
        """Start it again on its port."""
        await asyncio.to_thread(self._server.start)


@asynccontextmanager
async def redis(name: str) -> AsyncIterator[RedisWire]:
    """Clients of one of the `SERVERS`."""
    with Valkey.running(SERVERS[name]) as server:
        yield RedisWire(server)
