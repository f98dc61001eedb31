"""A bound on how often one place in the code may log, since strangers can make some places log at will."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

BURST = 20
PER_S = 0.2
"""So many lines at once from one place and level, then one every 5 s."""
OWN = "realtime_ui"
MAX_PLACES = 2_000

Place = tuple[str, str, int, str]
"""Logger, file, line and the type of the exception: a template may be an f-string, whose text is another each time."""


@dataclass(slots=True)
class _Bucket:
    level: float
    since: float
    suppressed: int = 0


class Throttle(logging.Filter):
    """Lets `BURST` records of one place through, then `PER_S` a second, and counts the rest.

    The next record of the place that comes through carries `suppressed`, how many did not. Of our own loggers only
    warnings and errors are bounded: what is said of normal work is said once for each thing done.

    Args:
        monotonic: tells the time in s.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._buckets: dict[Place, _Bucket] = {}
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown."""
        if record.levelno < logging.WARNING and record.name.partition(".")[0] == OWN:
            return True
        kind = record.exc_info[0].__qualname__ if record.exc_info and record.exc_info[0] else ""
        place = (record.name, record.pathname, record.lineno, kind)
        with self._lock:
            now = self._monotonic()
            bucket = self._buckets.get(place)
            if bucket is None:
                if len(self._buckets) >= MAX_PLACES:  # types of exceptions can be made, places cannot
                    self._buckets.clear()
                bucket = self._buckets[place] = _Bucket(BURST, now)
            bucket.level = min(BURST, bucket.level + (now - bucket.since) * PER_S)
            bucket.since = now
            if bucket.level < 1:
                bucket.suppressed += 1
                return False
            bucket.level -= 1
            if bucket.suppressed:
                record.suppressed = bucket.suppressed
                bucket.suppressed = 0
        return True

    def take_suppressed(self) -> dict[Place, int]:
        """How many records of each place were held back and are not told yet; they count as told now.

        Places that could log again are meant: where the flood goes on, its next line says it.
        """
        with self._lock:
            now = self._monotonic()
            over: dict[Place, int] = {}
            for place, bucket in self._buckets.items():
                if bucket.suppressed and bucket.level + (now - bucket.since) * PER_S >= 2:
                    over[place] = bucket.suppressed
                    bucket.suppressed = 0
            return over
