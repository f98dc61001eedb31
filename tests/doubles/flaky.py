"""A provider that loses, doubles, reorders, delays and disconnects, by seeded dice.

It keeps the contract: a wire may do all of this, and the app has to mend it. Chosen by
`REALTIME_PROVIDER=flaky` where `install_entry_point` wrote the package's metadata.
"""

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from realtime_ui.core.errors import ProviderUnavailable
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import WireMessage
from realtime_ui.providers.memory import MemoryProvider
from realtime_ui.settings import Settings

ENTRY_POINT = "[realtime_ui.providers]\nflaky = tests.doubles.flaky:create\n"


@dataclass(frozen=True, slots=True)
class Rates:
    """How often of one message each thing happens (0 to 1), and how long it lasts at most, in s.

    Each is read from the environment: `FLAKY_DROP=0.5`.
    """

    drop: float = 0.05
    double: float = 0.05
    reorder: float = 0.05
    delay: float = 0.05
    disconnect: float = 0.002
    longest_s: float = 1.0
    seed: float = 0

    @classmethod
    def from_environment(cls) -> "Rates":
        """The rates named in the environment, and the defaults for the others."""
        names = {each.name: f"FLAKY_{each.name.upper()}" for each in fields(cls)}
        return cls(**{name: float(os.environ[variable]) for name, variable in names.items() if variable in os.environ})


class FlakyProvider(MemoryProvider):
    """A memory provider on a bad day.

    Args:
        rates: how bad.
    """

    name = "flaky"

    def __init__(self, rates: Rates) -> None:
        super().__init__()
        self._rates = rates
        self._dice = random.Random(rates.seed)
        self._held: dict[str, WireMessage] = {}
        self._timers: set[asyncio.TimerHandle] = set()

    async def disconnect(self) -> None:
        """End it; what was delayed is lost."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        self._held.clear()
        await super().disconnect()

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send each message, or lose it, or send it twice, later, or after the next one."""
        for message in messages:
            self._send(channel, message)

    def _send(self, channel: str, message: WireMessage) -> None:
        self._require_connected()
        if self._happens(self._rates.disconnect):
            self._become(ConnectionStatus.DISCONNECTED)
            self._later(self._reconnect)
            raise ProviderUnavailable("The flaky provider lost its connection.", remedy="Try again.")
        if self._happens(self._rates.drop):
            return
        if self._happens(self._rates.reorder) and channel not in self._held:
            self._held[channel] = message
            return
        for _ in range(2 if self._happens(self._rates.double) else 1):
            if self._happens(self._rates.delay):
                self._later(lambda: self._hand_out(channel, message))
            else:
                self._hand_out(channel, message)
        if held := self._held.pop(channel, None):
            self._hand_out(channel, held)

    def _hand_out(self, channel: str, message: WireMessage) -> None:
        for callback in list(self._network.subscribers[channel].values()):
            callback(channel, message)

    def _reconnect(self) -> None:
        if self.status is ConnectionStatus.DISCONNECTED:
            self._become(ConnectionStatus.CONNECTED)

    def _happens(self, rate: float) -> bool:
        return self._dice.random() < rate

    def _later(self, what: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            what()

        timer = asyncio.get_running_loop().call_later(self._dice.uniform(0.01, self._rates.longest_s), run)
        self._timers.add(timer)


def create(settings: Settings) -> FlakyProvider:
    """What the entry point names."""
    return FlakyProvider(Rates.from_environment())


def install_entry_point(folder: Path) -> None:
    """Write the metadata of a package that brings the provider; `folder` is to be on PYTHONPATH."""
    metadata = folder / "flaky_provider-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: flaky-provider\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINT)
