"""What each minute was like: a few numbers a worker and tenant, kept for charts that outlast a restart."""

import asyncio
import logging
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.persistence.event_log import ChannelKey
from realtime_ui.persistence.health_samples import HealthSampleRepository, TrafficSample, WorkerSample

logger = logging.getLogger(__name__)

MINUTE_S = 60
MAX_LATENCIES = 10_000
"""So many of a minute and type are looked at; of more, the latest."""


class Counted(Protocol):
    """What is needed of an entry of `ConnectionStats`."""

    key: ChannelKey
    sampled: int

    @property
    def messages(self) -> int:
        """How many it was sent."""
        ...


@dataclass(slots=True)
class _Tally:
    messages: int = 0
    missed: int = 0
    latencies: "deque[int]" = field(default_factory=lambda: deque(maxlen=MAX_LATENCIES))


class Traffic:
    """Counts, for each tenant and channel type, until somebody takes the sum."""

    def __init__(self) -> None:
        self._tallies: defaultdict[tuple[uuid.UUID, ChannelType], _Tally] = defaultdict(_Tally)

    def answered(self, key: ChannelKey, latency_ms: int) -> None:
        """A connection on a channel answered after so long."""
        self._tallies[key[0], key[1].type].latencies.append(latency_ms)

    def missed(self, key: ChannelKey) -> None:
        """A connection on a channel did not answer in time."""
        self._tallies[key[0], key[1].type].missed += 1

    def read(self, entry: Counted) -> None:
        """Take in what an entry had since the last time."""
        messages = entry.messages
        self._tallies[entry.key[0], entry.key[1].type].messages += messages - entry.sampled
        entry.sampled = messages

    def take(self, entries: Iterable[Counted]) -> list[TrafficSample]:
        """The sums since the last time, with the open entries as they are now."""
        open_now: defaultdict[tuple[uuid.UUID, ChannelType], int] = defaultdict(int)
        for entry in entries:
            self.read(entry)
            open_now[entry.key[0], entry.key[1].type] += 1
        tallies, self._tallies = self._tallies, defaultdict(_Tally)
        samples = []
        for (tenant, kind), tally in tallies.items():
            latencies = sorted(tally.latencies)
            p50 = latencies[len(latencies) // 2] if latencies else None
            p95 = latencies[int(len(latencies) * 0.95)] if latencies else None
            connections = open_now[tenant, kind]
            samples.append(TrafficSample(tenant, kind.value, connections, tally.messages, p50, p95, tally.missed))
        return samples


class Samples:
    """Writes one statement a minute. `start` and `stop` own the task.

    Args:
        repository: where samples go.
        traffic: what was counted.
        entries: the open entries.
        worker: this worker's id.
        clock: tells the time.
    """

    def __init__(
        self,
        repository: HealthSampleRepository,
        traffic: Traffic,
        entries: Callable[[], Iterable[Counted]],
        *,
        worker: str,
        clock: Clock,
    ) -> None:
        self._repository = repository
        self._traffic = traffic
        self._entries = entries
        self._worker = worker
        self._clock = clock
        self._counted = (0, 0)
        self._task: asyncio.Task[None] | None = None

    async def start(self, look: Callable[[], WorkerSample]) -> None:
        """Begin; `look` says how the worker stands, with its counters since it began."""
        now = look()
        self._counted = (now.refused, now.dropped)
        self._task = asyncio.create_task(self._run(look), name="health-samples")

    async def stop(self) -> None:
        """End; the minute that has begun is not written."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, look: Callable[[], WorkerSample]) -> None:
        while True:
            await self._clock.sleep(MINUTE_S - time.time() % MINUTE_S)
            try:
                await self._write(look())
            except RealtimeError as error:
                logger.info("A minute's sample is lost: %s", error)
            except Exception:
                logger.exception("A minute's sample is lost")

    async def _write(self, now: WorkerSample) -> None:
        """Of the minute that just ended."""
        minute = round(time.time() / MINUTE_S - 1) * MINUTE_S * 1000
        before, self._counted = self._counted, (now.refused, now.dropped)
        own = WorkerSample(
            sockets=now.sockets,
            streams=now.streams,
            stale=now.stale,
            hub_lag_ms=now.hub_lag_ms,
            refused=now.refused - before[0],
            dropped=now.dropped - before[1],
        )
        await self._repository.add(self._worker, minute, own, self._traffic.take(self._entries()))


def refused() -> int:
    """What this worker refused since it began: emits that could not be taken, and sockets."""
    return metrics.total(metrics.EMITS, "refused", "unavailable") + metrics.total(metrics.SOCKETS_REFUSED)


def dropped() -> int:
    """How often something did not fit into a bounded queue since it began."""
    return metrics.total(metrics.QUEUE_BOUNDS_HIT)
