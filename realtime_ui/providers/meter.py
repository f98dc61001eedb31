"""How much comes by in a second, of late."""

import math

from realtime_ui.core.clock import Clock, SystemClock

_OVER_S = 3.0


class Meter:
    """A rate that forgets: what came `_OVER_S` ago counts a third of what comes now.

    Args:
        clock: tells the time.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or SystemClock()
        self._rate = 0.0
        self._since = self._clock.monotonic()

    @property
    def rate(self) -> float:
        """How many a second."""
        now = self._clock.monotonic()
        self._rate *= math.exp((self._since - now) / _OVER_S)
        self._since = now
        return self._rate

    def expect(self, rate: float) -> None:
        """Be told of so many a second that come here from now on; it fades as fast as they show."""
        self._rate = self.rate + rate

    def count(self, number: int = 1) -> None:
        """Count what comes."""
        self._rate = self.rate + number / _OVER_S
