"""Time, injected: everything that waits takes a `Clock`, so tests move it by hand."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the rest of the house may know about time."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for measuring durations."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` seconds."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop after `seconds` seconds."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds that only ever grow; for measuring durations."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop after `seconds` seconds."""
        asyncio.get_running_loop().call_later(seconds, callback)
