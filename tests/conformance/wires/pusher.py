"""Pusher: the provider, and our server that speaks Pusher's protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from realtime_ui.core.clock import Clock
from realtime_ui.providers.pusher import PusherProvider
from tests.doubles.pusher import PusherServer


def provider_of(
    server: PusherServer, *, key: str = "", secret: str = "", rate: float = 500, clock: Clock | None = None
) -> PusherProvider:
    """A provider of a server's app, with another key or secret where given."""
    return PusherProvider(
        server.app_id,
        key or server.key,
        secret or server.secret,
        host=f"127.0.0.1:{server.port}",
        tls=False,
        rate=rate,
        clock=clock,
    )


class PusherWire:
    """A server of the test's own."""

    has_outages = True

    def __init__(self, server: PusherServer) -> None:
        self._server = server

    def client(self) -> PusherProvider:
        """Another provider on it."""
        return provider_of(self._server)

    async def cut(self) -> None:
        """Stop listening."""
        await self._server.stop()

    async def restore(self) -> None:
        """Listen on the same port."""
        await self._server.start()


@asynccontextmanager
async def pusher() -> AsyncIterator[PusherWire]:
    """Providers of one Pusher app."""
    async with PusherServer() as server:
        yield PusherWire(server)
