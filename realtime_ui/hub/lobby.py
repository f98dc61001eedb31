"""The lobby: a tenant's channels with their last activity, live, for whoever looks at the list.

While anybody looks, one query a second and tenant finds what changed, whichever worker it came through.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.persistence.channels import ChannelRepository, ChannelSummary

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
# A commit may become visible later than its stamp, and stamps move once a second: look back further.
LOOK_BACK = timedelta(seconds=5)


class Lobby:
    """Sends changes of the lists that somebody looks at. `start` and `stop` own the task.

    Args:
        channels: the registry.
        watching: how many tabs watch each of a tenant's channels.
        send: sends rows to those who look at a tenant's list; returns how many they are.
        clock: tells the time.
    """

    def __init__(
        self,
        channels: ChannelRepository,
        watching: Callable[[uuid.UUID], dict[ChannelName, int]],
        send: Callable[[uuid.UUID, list[Json]], int],
        clock: Clock,
    ) -> None:
        self._channels = channels
        self._watching = watching
        self._send = send
        self._clock = clock
        self._shown: dict[uuid.UUID, dict[str, Json]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for changes."""
        self._task = asyncio.create_task(self._run(), name="lobby")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def enter(self, tenant: uuid.UUID) -> list[Json]:
        """Somebody begins to look: the whole list as it is now, most recently active first."""
        shown = self._shown.setdefault(tenant, {})
        watching = self._watching(tenant)
        rows = [_row(channel, watching) for channel in await self._channels.list(tenant)]
        shown.update({row["channel"]: row for row in rows})
        return rows

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            for tenant in list(self._shown):
                try:
                    await self._tick(tenant)
                except RealtimeError as error:
                    logger.warning("The lobby waits: %s", error)
                except Exception:
                    logger.exception("The lobby of %s failed and goes on", tenant)

    async def _tick(self, tenant: uuid.UUID) -> None:
        shown = self._shown[tenant]
        watching = self._watching(tenant)
        since = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC) - LOOK_BACK
        now = {str(c.name): _row(c, watching) for c in await self._channels.list(tenant, since=since)}
        for name, row in shown.items():  # whose watchers came or went without an event
            count = watching.get(ChannelName.parse(name), 0)
            if name not in now and row["watching"] != count:
                now[name] = {**row, "watching": count}
        changed = [row for name, row in now.items() if shown.get(name) != row]
        shown.update({row["channel"]: row for row in changed})
        if self._send(tenant, changed) == 0:  # nobody looks any more
            self._shown.pop(tenant, None)


def _row(channel: ChannelSummary, watching: dict[ChannelName, int]) -> dict[str, Json]:
    stamp = channel.last_activity_at
    return {
        "channel": str(channel.name),
        "title": channel.title,
        "lastActivity": round(stamp.timestamp() * 1000) if stamp else None,
        "events": channel.last_seq,
        "watching": watching.get(channel.name, 0),
    }
