"""Token buckets: how often a key or an address may do a thing."""

from collections import OrderedDict

from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RateLimited

MAX_BUCKETS = 10_000


class RateLimiter:
    """One bucket a name, refilled at a steady rate. Bounded: the longest unused bucket is forgotten.

    Args:
        rate: tokens per second.
        burst: the most tokens a bucket holds; a new bucket is full.
        clock: tells the time.
    """

    def __init__(self, rate: float, burst: float, clock: Clock) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def spend(self, name: str, tokens: float = 1) -> None:
        """Take tokens from a bucket.

        Raises:
            RateLimited: it holds too few; nothing is taken.
        """
        now = self._clock.monotonic()
        level, since = self._buckets.pop(name, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        enough = level >= tokens
        self._buckets[name] = (level - tokens if enough else level, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        if not enough:
            raise RateLimited("The limit for this caller is reached.", retry_after_s=(tokens - level) / self._rate)

    def give_back(self, name: str, tokens: float = 1) -> None:
        """Put tokens back that turned out not to count, such as those of a sign-in that was right."""
        level, since = self._buckets.get(name, (self._burst, self._clock.monotonic()))
        self._buckets[name] = (min(self._burst, level + tokens), since)
