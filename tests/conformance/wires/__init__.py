"""The wires that the suite runs on: each the real service, or a server that speaks its protocol, on loopback."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Protocol

from realtime_ui.providers.base import RealtimeProvider
from realtime_ui.providers.memory import MemoryNetwork, MemoryProvider
from tests.conformance.wires.ably import ably
from tests.conformance.wires.pusher import pusher
from tests.conformance.wires.redis import redis
from tests.valkey import SERVERS


class Wire(Protocol):
    """A service that the providers of a test share."""

    has_outages: bool
    """Whether it can be away."""

    def client(self) -> RealtimeProvider:
        """Another provider on it, not yet connected."""
        ...

    async def cut(self) -> None:
        """Take the service away, connections and all."""
        ...

    async def restore(self) -> None:
        """Bring it back in the same place."""
        ...


class MemoryWire:
    """A network of the test's own."""

    has_outages = False

    def __init__(self) -> None:
        self._network = MemoryNetwork()

    def client(self) -> RealtimeProvider:
        """Another provider on it."""
        return MemoryProvider(self._network)

    async def cut(self) -> None:
        """It lives inside the process."""
        raise NotImplementedError

    async def restore(self) -> None:
        """It lives inside the process."""
        raise NotImplementedError


@asynccontextmanager
async def memory() -> AsyncIterator[Wire]:
    """Memory providers that hear each other."""
    yield MemoryWire()


WIRES: dict[str, Callable[[], AbstractAsyncContextManager[Wire]]] = {
    "memory": memory,
    "ably": ably,
    "pusher": pusher,
    **{name: partial(redis, name) for name in SERVERS},
}
"""Every wire by name; a third party adds its own and runs the suite."""
