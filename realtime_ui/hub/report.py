"""What a worker reports of itself: to the other workers and operators, as a sample for the charts, and as gauges."""

import asyncio
from dataclasses import asdict

from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock
from realtime_ui.core.logs import report_suppressed
from realtime_ui.core.messages import Json
from realtime_ui.hub.connection_stats import ConnectionStats
from realtime_ui.hub.health import Health
from realtime_ui.hub.heartbeat import Heartbeats
from realtime_ui.hub.samples import dropped, refused
from realtime_ui.hub.streams import Streams
from realtime_ui.persistence.health_samples import WorkerSample

GAUGES_S = 2.0


class WorkerReport:
    """`start` and `stop` own the task that keeps the gauges.

    Args:
        health: how the parts are.
        heartbeats: who is stale.
        streams: how many are open.
        stats: the connections.
        clock: tells the time.
    """

    def __init__(
        self, health: Health, heartbeats: Heartbeats, streams: Streams, stats: ConnectionStats, clock: Clock
    ) -> None:
        self._health = health
        self._heartbeats = heartbeats
        self._streams = streams
        self._stats = stats
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to set the gauges."""
        self._task = asyncio.create_task(self._keep_gauges(), name="gauges")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def sample(self) -> WorkerSample:
        """How the worker is, in the numbers that a sample has."""
        now = self._health.snapshot()
        return WorkerSample(
            sockets=now.sockets,
            streams=self._stats.connections("sse"),
            stale=self._heartbeats.stale,
            hub_lag_ms=round(now.hub_lag_s * 1000),
            refused=refused(),
            dropped=dropped(),
        )

    def state(self) -> dict[str, Json]:
        """How the worker is, as the other workers and operators are told."""
        now = self._health.snapshot()
        return {
            **asdict(self.sample()),
            "database_up": now.database_up,
            "provider": now.provider,
            "provider_status": now.provider_status.value,
            "provider_error": now.provider_error,
            "provider_trouble": now.provider_trouble and asdict(now.provider_trouble),
            "subscriptions": now.subscriptions,
        }

    def set_gauges(self) -> None:
        """Have the metrics show how the worker is now."""
        now = self._health.snapshot()
        metrics.SOCKETS.set(now.sockets)
        metrics.STREAMS.set(len(self._streams))
        metrics.CONNECTIONS_STALE.set(self._heartbeats.stale)
        metrics.SUBSCRIPTIONS.set(now.subscriptions)
        metrics.TASKS.set(len(asyncio.all_tasks()))
        metrics.HUB_LAG_SECONDS.set(now.hub_lag_s)
        metrics.DATABASE_UP.set(now.database_up)
        metrics.PROVIDER_UP.set("provider" not in now.degraded)

    async def _keep_gauges(self) -> None:
        """Set them all the time, since another worker may be asked for them; and log how many lines were left out."""
        while True:
            self.set_gauges()
            report_suppressed()
            await self._clock.sleep(GAUGES_S)
