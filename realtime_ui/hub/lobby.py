"""The lobby: a tenant's channels with their last activity, live, for those who look at the list; and their titles.

While anybody looks, one query a second and audience finds what was active, and two queries a second for all tenants
find what was renamed and whose log went back, whichever worker it came through. What is kept here does not grow with
the number of channels.

A member's list has their own channel besides what all members see. Its changes go to a room of that person, so they
cost no query of their own.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from realtime_ui.access.policy import lists, own_channels
from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.principals import Person
from realtime_ui.persistence.channels import PAGE, ChannelRepository, ChannelSummary, ListPlace

logger = logging.getLogger(__name__)

T = TypeVar("T")

INTERVAL_S = 1.0
LIST, TITLES = "lobby", "titles"
"""The topics of rooms."""
LOOK_BACK_S = 5.0
"""How far queries look back beyond the time of the last ones that succeeded: a commit may become visible later than its
stamp, and stamps move once a second."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Those who see the same list: a tenant's admins, or its members."""

    tenant: uuid.UUID
    types: frozenset[ChannelType]

    @classmethod
    def of(cls, person: Person) -> "Audience":
        """The audience that a person belongs to."""
        return cls(person.tenant, frozenset(kind for kind in ChannelType if lists(person, kind)))

    def room(self, topic: str, own: ChannelName | None = None) -> str:
        """The room for a topic: everybody's, or that of the person whose own channel is given."""
        return f"{self.tenant}/{topic}/{own or len(self.types)}"


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks at lists: what all of their audience see, and their own channels."""

    audience: Audience
    own: frozenset[ChannelName]

    @classmethod
    def of(cls, person: Person) -> "Viewer":
        """What a person may see in lists."""
        return cls(Audience.of(person), own_channels(person))

    def rooms(self, topic: str) -> list[str]:
        """The rooms for a topic that the person's sockets enter."""
        return [self.audience.room(topic), *(self.audience.room(topic, name) for name in self.own)]


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
        self._titles: dict[Audience, set[ChannelName]] = {}  # with the own channels of those who are there
        self._renamed: Mapping[tuple[uuid.UUID, ChannelName], str | None] = {}
        self._begun: Mapping[tuple[uuid.UUID, ChannelName], ChannelSummary] = {}
        self._looked_at = clock.monotonic()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to look for changes."""
        self._task = asyncio.create_task(self._run(), name="lobby")

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def follow(self, viewer: Viewer) -> None:
        """Somebody is in the viewer's rooms: tell these of what changes."""
        audience = viewer.audience
        if audience not in self._lists:
            self._lists[audience] = _List({}, self._watching(audience.tenant))
        self._lists[audience].own |= viewer.own

    def follow_titles(self, viewer: Viewer) -> None:
        """Somebody is in the viewer's rooms for titles: tell these of new ones."""
        self._titles.setdefault(viewer.audience, set()).update(viewer.own)

    async def page(self, viewer: Viewer, below: ListPlace | None) -> ListPage:
        """A page of the list, most recently active first, from its beginning or from below a place."""
        tenant = viewer.audience.tenant
        found = await self._channels.page(tenant, viewer.audience.types, viewer.own, below=below)
        return ListPage(self._rows(tenant, found), found[-1].place if len(found) == PAGE else None)

    async def search(self, viewer: Viewer, query: str) -> tuple[list[Json], bool]:
        """The channels that match best, and whether there are more."""
        tenant = viewer.audience.tenant
        found, more = await self._channels.search(tenant, viewer.audience.types, query, viewer.own)
        return self._rows(tenant, found), more

    def _rows(self, tenant: uuid.UUID, channels: list[ChannelSummary]) -> list[Json]:
        watching = self._watching(tenant)
        return [_row(channel, watching) for channel in channels]

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(INTERVAL_S)
            now = self._clock.monotonic()
            within_s = LOOK_BACK_S + now - self._looked_at
            try:
                await self._tell_titles(within_s)
                await self._tell_begun(within_s)
                for audience in list(self._lists):
                    await self._tell_changes(audience, within_s)
                self._looked_at = now
            except RealtimeError as error:
                logger.debug("The lobby waits: %s", error)  # health has said why
            except Exception:
                logger.exception("The lobby failed; it goes on")

    async def _tell_changes(self, audience: Audience, within_s: float) -> None:
        told, tenant = self._lists[audience], audience.tenant
        found = await self._channels.changed(tenant, audience.types, frozenset(told.own), within_s=within_s)
        watching = self._watching(tenant)
        recent = {channel.name: _row(channel, watching) for channel in found}
        changed = {name: row for name, row in recent.items() if told.recent.get(name) != row}
        for name in watching.keys() | told.watching.keys():  # whose watchers came or went without an event
            count = watching.get(name, 0)
            if name not in recent and told.watching.get(name, 0) != count:
                changed[name] = {"channel": str(name), "watching": count}
        told.recent, told.watching = recent, watching
        if not self._tell(audience, LIST, told.own, changed, _rows_event):
            self._lists.pop(audience, None)

    async def _tell_begun(self, within_s: float) -> None:
        if not self._lists:
            return
        found = await self._channels.epoch_began(within_s=within_s)
        news = _news(found, self._begun)
        self._begun = found
        for audience, told in self._lists.items():
            watching = self._watching(audience.tenant)
            rows = {name: _row(channel, watching) for name, channel in news.get(audience.tenant, {}).items()}
            self._tell(audience, LIST, told.own, rows, _rows_event)

    async def _tell_titles(self, within_s: float) -> None:
        if not self._titles and not self._lists:
            return
        found = await self._channels.renamed(within_s=within_s)
        news = _news(found, self._renamed)
        self._renamed = found
        for audience, told in self._lists.items():
            self._tell(audience, LIST, told.own, news.get(audience.tenant, {}), _titles_event)
        for audience, own in list(self._titles.items()):
            if not self._tell(audience, TITLES, own, news.get(audience.tenant, {}), _titles_event):
                self._titles.pop(audience)

    def _tell(
        self,
        audience: Audience,
        topic: str,
        own: set[ChannelName],
        news: Mapping[ChannelName, Json],
        event: Callable[[Mapping[ChannelName, Json]], tuple[str, Json]],
    ) -> bool:
        """Send news to the rooms where they may be known, and remove from `own` whoever left.

        Returns:
            whether anybody of the audience is there.
        """
        for name in list(own):
            if self._send(audience.room(topic, name), *event({name: news[name]} if name in news else {})) == 0:
                own.discard(name)
        listed = {name: each for name, each in news.items() if name.type in audience.types}
        return self._send(audience.room(topic), *event(listed)) > 0


def _news(
    found: Mapping[tuple[uuid.UUID, ChannelName], T], known: Mapping[tuple[uuid.UUID, ChannelName], T]
) -> dict[uuid.UUID, dict[ChannelName, T]]:
    """What was found and was not known, for each tenant."""
    news: dict[uuid.UUID, dict[ChannelName, T]] = {}
    for (tenant, name), each in found.items():
        if (tenant, name) not in known or known[tenant, name] != each:
            news.setdefault(tenant, {})[name] = each
    return news


def _rows_event(rows: Mapping[ChannelName, Json]) -> tuple[str, Json]:
    return "lobby", list(rows.values())


def _titles_event(titles: Mapping[ChannelName, Json]) -> tuple[str, Json]:
    return "titles", {str(name): title for name, title in titles.items()}


@dataclass(slots=True)
class _List:
    """What an audience was told last: rows that were active a moment ago, and how many watched each channel.

    `own` are the own channels of those who look.
    """

    recent: dict[ChannelName, dict[str, Json]]
    watching: dict[ChannelName, int]
    own: set[ChannelName] = field(default_factory=set)


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
