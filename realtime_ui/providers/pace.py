"""Sends no faster than a service takes: a token bucket that waits."""

import asyncio

from realtime_ui.core.clock import Clock


class Pace:
    """Lets through at a steady rate, first come, first served.

    Args:
        rate: how many a second.
        clock: tells the time.
        burst: how many may go at once after a quiet time; those of one second when None.
    """

    def __init__(self, rate: float, clock: Clock, *, burst: float | None = None) -> None:
        self._rate = rate
        self._burst = max(1.0, rate if burst is None else burst)
        self._clock = clock
        self._level = self._burst
        self._since = clock.monotonic()
        self._turn = asyncio.Lock()

    async def take(self, count: int = 1) -> None:
        """Wait until `count` more may go; more than the burst go as soon as the burst may."""
        async with self._turn:
            self._refill()
            if (missing := min(count, self._burst) - self._level) > 0:
                await self._clock.sleep(missing / self._rate)
                self._refill()
            self._level -= count

    def _refill(self) -> None:
        now = self._clock.monotonic()
        self._level = min(self._burst, self._level + (now - self._since) * self._rate)
        self._since = now
