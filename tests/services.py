"""What carries the messages, as a process of its own: a real Valkey, or a server that speaks the vendor's protocol.

An app is pointed at it by its environment alone, over a network (`tests/proxy.py`) that tests can cut.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.app import ROOT, free_port
from tests.proxy import Proxy
from tests.valkey import SERVERS

START_S = 20


def valkey_command(port: int) -> list[str]:
    """How to start it."""
    return [SERVERS["valkey"], "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]


ABLY_KEY = "app.key:secret"
PUSHER = {"PUSHER_APP_ID": "1000", "PUSHER_KEY": "pusher-key", "PUSHER_SECRET": "pusher-secret", "PUSHER_TLS": "false"}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one is started, and how an app is told of it; both by the port on loopback."""

    command: Callable[[int], list[str]]
    environment: Callable[[int], Mapping[str, str]]


KINDS = {
    "redis": Kind(valkey_command, lambda port: {"REDIS_URL": f"redis://127.0.0.1:{port}"}),
    "ably": Kind(
        lambda port: [sys.executable, "-m", "tests.doubles.ably", "--port", str(port)],
        lambda port: {"ABLY_API_KEY": ABLY_KEY, "ABLY_ENDPOINT": f"127.0.0.1:{port}/", "ABLY_TLS": "false"},
    ),
    "pusher": Kind(
        lambda port: [sys.executable, "-m", "tests.doubles.pusher", "--port", str(port)],
        lambda port: {**PUSHER, "PUSHER_HOST": f"127.0.0.1:{port}"},
    ),
}
PROVIDERS = ("memory", *KINDS)


class Service:
    """A running one. `network` lies between it and the app.

    Args:
        name: of the provider.
        port: where it listens itself.
        network: what an app goes through.
    """

    def __init__(self, name: str, port: int, network: Proxy) -> None:
        self._kind = KINDS[name]
        self.name = name
        self.port = port
        self.network = network
        self._process: asyncio.subprocess.Process | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What an app needs to know to use it."""
        return {"REALTIME_PROVIDER": self.name, **self._kind.environment(self.network.port)}

    async def start(self) -> None:
        """Start it, and wait until it listens."""
        self._process = await asyncio.create_subprocess_exec(
            *self._kind.command(self.port), cwd=ROOT, start_new_session=True
        )
        async with asyncio.timeout(START_S):
            while True:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                assert self._process.returncode is None, f"the {self.name} service ended"
                await asyncio.sleep(0.05)

    def processes(self) -> list[psutil.Process]:
        """It, while it runs."""
        running = self._process is not None and self._process.returncode is None
        return [psutil.Process(self._process.pid)] if self._process and running else []

    async def kill(self) -> None:
        """End it at once, with all that it held in memory."""
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@asynccontextmanager
async def service(name: str) -> AsyncIterator[Service]:
    """The service of a provider, for the time of the block."""
    port = free_port()
    async with Proxy(port) as network:
        running = Service(name, port, network)
        await running.start()
        try:
            yield running
        finally:
            await running.kill()
