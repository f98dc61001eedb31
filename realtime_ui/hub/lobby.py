"""The lobby: a tenant's channels with their last activity, live, for those who look at the list; and their titles.

While anybody looks, one query a second and audience finds what was active, and one query a second for all tenants
finds what was renamed, whichever worker it came through. What is kept here does not grow with the number of channels.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from realtime_ui.access.policy import lists
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.persistence.channels import PAGE, ChannelRepository, ChannelSummary, ListPlace

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
        """The audience's room for the list."""
        return f"{self.tenant}/lobby/{len(self.types)}"

    @property
    def titles_room(self) -> str:
        """The audience's room for titles."""
        return f"{self.tenant}/titles/{len(self.types)}"


@dataclass(frozen=True, slots=True)
class ListPage:
    """Some rows of a list, and the place below which it goes on; None at its end."""

    rows: list[Json]
    end: ListPlace | None


class Lobby:
    """Sends changes of the lists that somebody looks at. `start` and `stop` own the task.

    Args:
        channels: the registry.
        watching: how many tabs watch each of a tenant's channels.
        send: sends an event with its data to a room; without data, nothing. Returns how many are in the room.
        clock: tells the time.
    """

    def __init__(
        self,
        channels: ChannelRepository,
        watching: Callable[[uuid.UUID], dict[ChannelName, int]],
        send: Callable[[str, str, Json], int],
        clock: Clock,
    ) -> None:
        self._channels = channels
        self._watching = watching
        self._send = send
        self._clock = clock
        self._lists: dict[Audience, _List] = {}
        self._titles: set[Audience] = set()
        self._renamed: Mapping[tuple[uuid.UUID, ChannelName], str | None] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for changes."""
        self._task = asyncio.create_task(self._run(), name="lobby")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def follow(self, audience: Audience) -> None:
        """Somebody is in the audience's room: tell it of what changes."""
        if audience not in self._lists:
            self._lists[audience] = _List({}, self._watching(audience.tenant))

    def follow_titles(self, audience: Audience) -> None:
        """Somebody is in the audience's room for titles: tell it of new ones."""
        self._titles.add(audience)

    async def page(self, audience: Audience, below: ListPlace | None) -> ListPage:
        """A page of the list, most recently active first, from its beginning or from below a place."""
        found = await self._channels.page(audience.tenant, audience.types, below=below)
        return ListPage(self._rows(audience, found), found[-1].place if len(found) == PAGE else None)

    async def search(self, audience: Audience, query: str) -> tuple[list[Json], bool]:
        """The channels that match best, and whether there are more."""
        found, more = await self._channels.search(audience.tenant, audience.types, query)
        return self._rows(audience, found), more

    def _rows(self, audience: Audience, channels: list[ChannelSummary]) -> list[Json]:
        watching = self._watching(audience.tenant)
        return [_row(channel, watching) for channel in channels]

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            try:
                await self._tell_titles()
                for audience in list(self._lists):
                    await self._tell_changes(audience)
            except RealtimeError as error:
                logger.debug("The lobby waits: %s", error)  # health has said why
            except Exception:
                logger.exception("The lobby failed; it goes on")

    async def _tell_changes(self, audience: Audience) -> None:
        told = self._lists[audience]
        found = await self._channels.changed(audience.tenant, audience.types, within_s=LOOK_BACK_S)
        recent = {row["channel"]: row for row in self._rows(audience, found)}
        changed: list[Json] = [row for name, row in recent.items() if told.recent.get(name) != row]
        watching = self._watching(audience.tenant)
        for name in watching.keys() | told.watching.keys():  # whose watchers came or went without an event
            count = watching.get(name, 0)
            if name.type in audience.types and str(name) not in recent and told.watching.get(name, 0) != count:
                changed.append({"channel": str(name), "watching": count})
        told.recent, told.watching = recent, watching
        if self._send(audience.room, "lobby", changed) == 0:  # nobody looks any more
            self._lists.pop(audience, None)

    async def _tell_titles(self) -> None:
        audiences = self._titles | self._lists.keys()
        if not audiences:
            return
        found = await self._channels.renamed(within_s=LOOK_BACK_S)
        news = {key: title for key, title in found.items() if self._renamed.get(key, self) != title}
        self._renamed = found
        for audience in audiences:
            titles = {
                str(name): title
                for (tenant, name), title in news.items()
                if tenant == audience.tenant and name.type in audience.types
            }
            self._send(audience.room, "titles", titles)
            if self._send(audience.titles_room, "titles", titles) == 0:
                self._titles.discard(audience)


@dataclass(slots=True)
class _List:
    """What an audience was told last: rows that were active a moment ago, and how many watched each channel."""

    recent: dict[str, Json]
    watching: dict[ChannelName, int]


def _row(channel: ChannelSummary, watching: dict[ChannelName, int]) -> dict[str, Json]:
    stamp = channel.last_activity_at
    return {
        "channel": str(channel.name),
        "title": channel.title,
        "lastActivity": round(stamp.timestamp() * 1000) if stamp else None,
        "moment": channel.moment_us // 1000,
        "events": channel.last_seq,
        "watching": watching.get(channel.name, 0),
    }
