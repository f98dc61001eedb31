"""Who is where, kept for those who look: each room has a list of members and numbered diffs of it.

A tab gets the list once and then the diffs, each encoded once for the whole room; one that missed a number asks
for the list again.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

from realtime_ui.core.channels import ChannelName, ChannelType
from realtime_ui.core.messages import Json
from realtime_ui.hub.lobby import Audience
from realtime_ui.hub.members import Member, Meta, PresenceDiff
from realtime_ui.hub.subscriptions import room_of

logger = logging.getLogger(__name__)

SHOWN = 200
"""So many members at most a list shows; it always tells the true count."""

Place = tuple[uuid.UUID, ChannelName | None]
"""A tenant's channel; with None all of the tenant's app."""
PresenceSink = Callable[[PresenceDiff], None]
"""Called with every diff of a channel, in order; must not block."""
Send = Callable[[str, Json], int]
"""Sends data to a room of sockets; gives how many there are. Without data it only counts."""


@dataclass(frozen=True, slots=True)
class View:
    """Whose list somebody looks at: a channel's, or that of the whole tenant as an audience may see it."""

    place: Place
    room: str
    shown: frozenset[ChannelType] | None

    @classmethod
    def of_channel(cls, tenant: uuid.UUID, channel: ChannelName) -> "View":
        """Those on a channel."""
        return cls((tenant, channel), f"{room_of((tenant, channel))}/presence", None)

    @classmethod
    def of_audience(cls, audience: Audience) -> "View":
        """Everybody in the tenant; where they are only as far as the audience may know the channel."""
        return cls((audience.tenant, None), audience.room("presence"), audience.types)

    @property
    def label(self) -> str:
        """What tabs know it by: the channel's name, or nothing."""
        return str(self.place[1] or "")


@dataclass(slots=True)
class _Room:
    """A list that somebody looks at."""

    view: View
    number: int = 0  # of the last diff
    count: int = 0
    shown: dict[uuid.UUID, Member] = field(default_factory=dict)
    dirty: set[uuid.UUID] = field(default_factory=set)
    sinks: dict[tuple[str, str], PresenceSink] = field(default_factory=dict)  # by tab and state


class PresenceRooms:
    """Keeps who is in which place, and the lists of the places that somebody looks at.

    Args:
        send: sends to a room of sockets.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._people: dict[Place, dict[uuid.UUID, dict[str, Meta]]] = defaultdict(dict)
        self._rooms: dict[View, _Room] = {}
        self._at: dict[Place, set[View]] = defaultdict(set)  # the views of each place that are open

    def changed(self, before: Meta | None, after: Meta | None) -> None:
        """A tab came, went, or is another way."""
        if before is not None:
            for place in _places(before):
                people = self._people[place]
                people[before.person].pop(before.tab)
                self._mark(place, before.person)
        if after is not None:
            for place in _places(after):
                self._people[place].setdefault(after.person, {})[after.tab] = after
                self._mark(place, after.person)
        for place in _places(before) if before else ():
            people = self._people[place]
            if before and before.person in people and not people[before.person]:
                del people[before.person]
            if not people:
                del self._people[place]

    def members(self, tenant: uuid.UUID, channel: ChannelName) -> list[Member]:
        """All members on a channel, those first who came first."""
        people = self._people.get((tenant, channel), {})
        return [member for metas in people.values() if (member := Member.of(metas.values()))]

    def look(self, view: View) -> dict[str, Json]:
        """Somebody who is in the view's room already begins to look: the list as of the last diff."""
        room = self._rooms.get(view)
        if room is None:
            room = self._rooms[view] = _Room(view, dirty=set(self._people.get(view.place, ())))
            self._at[view.place].add(view)
            _refresh(room, self._people.get(view.place, {}))
        return {"n": room.number, "count": room.count, "members": [each.row() for each in room.shown.values()]}

    def attach(self, view: View, tab: str, state: str, sink: PresenceSink) -> None:
        """Have a tab's state told of a view that it looks at: first who is there, as joins, then the diffs."""
        room = self._rooms[view]
        if (tab, state) not in room.sinks:
            room.sinks[tab, state] = sink
            sink(PresenceDiff(tuple(room.shown.values()), (), (), room.count))

    def detach(self, view: View, tab: str) -> None:
        """A tab no longer looks; the last one closes the list."""
        room = self._rooms.get(view)
        if room is None:
            return
        for key in [key for key in room.sinks if key[0] == tab]:
            del room.sinks[key]
        if not self._send(view.room, None):
            self._close(view)

    def flush(self) -> None:
        """Send what changed since the last time."""
        for room in list(self._rooms.values()):
            if room.dirty:
                count = room.count
                diff = _refresh(room, self._people.get(room.view.place, {}))
                if diff or diff.count != count:
                    self._tell(room, diff)

    def _tell(self, room: _Room, diff: PresenceDiff) -> None:
        room.number += 1
        data = {
            "room": room.view.label,
            "n": room.number,
            "joins": [each.row() for each in diff.joins],
            "leaves": [str(each.person) for each in diff.leaves],
            "updates": [each.row() for each in diff.updates],
            "count": diff.count,
        }
        if not self._send(room.view.room, data):  # nobody looks any more
            self._close(room.view)
        for sink in list(room.sinks.values()):
            try:
                sink(diff)
            except Exception:
                logger.exception("A presence sink of %s failed", room.view.label)

    def _close(self, view: View) -> None:
        self._rooms.pop(view, None)
        views = self._at[view.place]
        views.discard(view)
        if not views:
            del self._at[view.place]

    def _mark(self, place: Place, person: uuid.UUID) -> None:
        for view in self._at.get(place, ()):
            self._rooms[view].dirty.add(person)


def _places(meta: Meta) -> list[Place]:
    everywhere: Place = (meta.tenant, None)
    return [everywhere, (meta.tenant, meta.channel)] if meta.channel else [everywhere]


def _refresh(room: _Room, people: dict[uuid.UUID, dict[str, Meta]]) -> PresenceDiff:
    """Bring a room's list up to date; a free place goes to whoever has waited longest."""
    joins: list[Member] = []
    leaves: list[Member] = []
    updates: list[Member] = []
    dirty, room.dirty = room.dirty, set()
    for person in dirty & room.shown.keys():
        before = room.shown[person]
        after = Member.of(people.get(person, {}).values(), room.view.shown)
        if after is None:
            leaves.append(room.shown.pop(person))
        elif after != before:
            room.shown[person] = after
            updates.append(after)
    waiting = (person for person in people if person not in room.shown)
    for person in list(islice(waiting, SHOWN - len(room.shown))):
        member = Member.of(people[person].values(), room.view.shown)
        assert member is not None
        room.shown[person] = member
        joins.append(member)
    room.count = len(people)
    return PresenceDiff(tuple(joins), tuple(leaves), tuple(updates), room.count)
