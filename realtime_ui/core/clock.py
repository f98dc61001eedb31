"""Time, injected: everything that waits or stamps takes a `Clock`, so tests move it by hand."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """What the rest of the house may know about time."""

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the Unix epoch."""
        ...

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

    def now_ms(self) -> int:
        """Wall-clock time in milliseconds since the Unix epoch."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only ever grow; for measuring durations."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` seconds."""
        await asyncio.sleep(seconds)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` on the event loop after `seconds` seconds."""
        asyncio.get_running_loop().call_later(seconds, callback)
