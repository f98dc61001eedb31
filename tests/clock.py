"""A clock that tests move by hand."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count


class ManualClock:
    """Stands still until `advance`."""

    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def monotonic(self) -> float:
        """The hand-set time in seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until somebody advances the clock that far."""
        woken = asyncio.get_running_loop().create_future()
        self.call_later(seconds, lambda: None if woken.done() else woken.set_result(None))
        await woken

    def call_later(self, seconds: float, callback: Callable[[], object]) -> None:
        """Call `callback` when the clock has been advanced that far."""
        heapq.heappush(self._due, (self._now + seconds, next(self._order), lambda: (callback(), None)[1]))

    def stand_still(self, seconds: float) -> None:
        """Let time pass without anything running, as it is for a process that was stopped."""
        self._now += seconds

    async def advance(self, seconds: float) -> None:
        """Let time pass; all that becomes due runs, in order, and what it started comes to rest."""
        until = self._now + seconds
        await settle()
        while self._due and self._due[0][0] <= until:
            due, _, callback = heapq.heappop(self._due)
            self._now = max(self._now, due)
            callback()
            await settle()
        self._now = until


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)
