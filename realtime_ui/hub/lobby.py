"""The lobby: a tenant's channels with their last activity, live, for whoever looks at the list.

While anybody looks, one query a second and audience finds what changed, whichever worker it came through.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from realtime_ui.access.policy import lists
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.persistence.channels import ChannelRepository, ChannelSummary

logger = logging.getLogger(__name__)

INTERVAL_S = 1.0
# A commit may become visible later than its stamp, and stamps move once a second: look back further.
LOOK_BACK_S = 5.0


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who see the same list: a tenant's admins, or its members."""

    tenant: uuid.UUID
    types: frozenset[ChannelType]

    @classmethod
    def of(cls, person: Person) -> "Audience":
        """The audience that a person belongs to."""
        return cls(person.tenant, frozenset(kind for kind in ChannelType if lists(person, kind)))

    @property
    def room(self) -> str:
        """The audience's room."""
        return f"{self.tenant}/lobby/{len(self.types)}"


class Lobby:
    """Sends changes of the lists that somebody looks at. `start` and `stop` own the task.

    Args:
        channels: the registry.
        watching: how many tabs watch each of a tenant's channels.
        send: sends rows to an audience's room; returns how many look.
        clock: tells the time.
    """

    def __init__(
        self,
        channels: ChannelRepository,
        watching: Callable[[uuid.UUID], dict[ChannelName, int]],
        send: Callable[[Audience, list[Json]], int],
        clock: Clock,
    ) -> None:
        self._channels = channels
        self._watching = watching
        self._send = send
        self._clock = clock
        self._shown: dict[Audience, dict[str, Json]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for changes."""
        self._task = asyncio.create_task(self._run(), name="lobby")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def enter(self, audience: Audience) -> list[Json]:
        """Somebody begins to look: the whole list as it is now, most recently active first."""
        shown = self._shown.setdefault(audience, {})
        rows = await self._rows(audience, None)
        shown.update({row["channel"]: row for row in rows})
        return rows

    async def _rows(self, audience: Audience, changed_within_s: float | None) -> list[Json]:
        watching = self._watching(audience.tenant)
        channels = await self._channels.list(audience.tenant, changed_within_s=changed_within_s)
        return [_row(channel, watching) for channel in channels if channel.name.type in audience.types]

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            for audience in list(self._shown):
                try:
                    await self._tick(audience)
                except RealtimeError as error:
                    logger.debug("The lobby waits: %s", error)  # health has said why
                except Exception:
                    logger.exception("The lobby of %s failed and goes on", audience.tenant)

    async def _tick(self, audience: Audience) -> None:
        shown = self._shown[audience]
        now = {row["channel"]: row for row in await self._rows(audience, LOOK_BACK_S)}
        watching = self._watching(audience.tenant)
        for name, row in shown.items():  # whose watchers came or went without an event
            count = watching.get(ChannelName.stored(name), 0)
            if name not in now and row["watching"] != count:
                now[name] = {**row, "watching": count}
        changed = [row for name, row in now.items() if shown.get(name) != row]
        shown.update({row["channel"]: row for row in changed})
        if self._send(audience, changed) == 0:  # nobody looks any more
            self._shown.pop(audience, None)


def _row(channel: ChannelSummary, watching: dict[ChannelName, int]) -> dict[str, Json]:
    stamp = channel.last_activity_at
    return {
        "channel": str(channel.name),
        "title": channel.title,
        "lastActivity": round(stamp.timestamp() * 1000) if stamp else None,
        "events": channel.last_seq,
        "watching": watching.get(channel.name, 0),
    }
