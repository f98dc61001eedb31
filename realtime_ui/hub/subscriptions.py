"""Which tab of this worker watches which channel; all of it ends with the tab's socket."""

import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.errors import RateLimited
from realtime_ui.core.principals import Person
from realtime_ui.hub.client_info import ClientInfo
from realtime_ui.hub.hub import RealtimeHub
from realtime_ui.hub.subscribe import Page
from realtime_ui.hub.watched import Frame, Sink
from realtime_ui.persistence.event_log import ChannelKey


class StateSink(Protocol):
    """A sink for a state class: hears what its tab is shown, pages and frames, each message once, in order."""

    @property
    def wants_frames(self) -> bool:
        """Whether it takes frames at all."""
        ...

    def __call__(self, frame: Frame) -> None:
        """Take a frame from the hub."""
        ...

    def catch_up(self, page: Page) -> None:
        """Take a page that the tab got; frames follow on the last one."""
        ...

    def timed_out(self) -> None:
        """Hear that the tab is silent for longer than the channel's timeout."""
        ...


SinkFactory = Callable[[str, str, ChannelName], Awaitable[StateSink | None]]
"""(Reflex client token, state name, channel) → a sink for a state that wants messages, or None."""


@dataclass(slots=True)
class Tab:
    """One socket of the `/feed` namespace."""

    sid: str
    person: Person
    token: str | None
    info: ClientInfo
    connected_at: int
    """In ms since the Unix epoch."""
    behind: int = 0
    """How many bytes waited for it when it left its rooms for being too slow; 0 once it has read them."""
    channels: dict[ChannelKey, dict[str, StateSink]] = field(default_factory=dict)  # with the sinks of its states


class Lines(Protocol):
    """Keeps account of which tab watches what, and for how long."""

    async def began(self, tab: Tab, key: ChannelKey) -> None:
        """A tab watches a channel."""
        ...

    async def ended(self, tab: Tab, key: ChannelKey) -> None:
        """It does no longer."""
        ...


class Rooms(Protocol):
    """What is needed of the Socket.IO namespace."""

    async def enter_room(self, sid: str, room: str) -> None:
        """Put a socket into a room."""
        ...

    async def leave_room(self, sid: str, room: str) -> None:
        """Take it out."""
        ...


class Subscriptions:
    """Keeps the tabs, their rooms and their sinks in step with the hub.

    Args:
        hub: where frames come from.
        rooms: the namespace.
        send_frame: sends a frame to its room.
        sink_for_state: makes sinks for state classes that want messages.
        client_token: the Reflex client token behind a socket.
        lines: keeps account of who watches what.
        max_channels: how many channels one tab may watch.
    """

    def __init__(
        self,
        hub: RealtimeHub,
        rooms: Rooms,
        send_frame: Sink,
        sink_for_state: SinkFactory,
        client_token: Callable[[str], str],
        lines: Lines,
        *,
        max_channels: int,
    ) -> None:
        self.tabs: dict[str, Tab] = {}
        self._hub = hub
        self._rooms = rooms
        self._send_frame = send_frame
        self._sink_for_state = sink_for_state
        self._client_token = client_token
        self._lines = lines
        self._max_channels = max_channels
        self._watchers: dict[ChannelKey, set[str]] = {}

    async def watch(self, tab: Tab, key: ChannelKey, states: tuple[str, ...]) -> None:
        """Put a tab into a channel's room, with sinks for the states named; to repeat it changes nothing.

        Raises:
            RateLimited: the tab watches too many channels.
            DatabaseUnavailable: the hub cannot follow the channel now.
        """
        try:
            if key not in tab.channels:
                if len(tab.channels) >= self._max_channels:
                    raise RateLimited(f"One tab may watch {self._max_channels} channels.", retry_after_s=60)
                # Every tab attaches, so that none goes on before the hub follows the channel.
                await self._hub.attach(key, self._send_frame)
                tab.channels[key] = {}
                self._watchers.setdefault(key, set()).add(tab.sid)
                await self._rooms.enter_room(tab.sid, room_of(key))
                await self._lines.began(tab, key)
            sinks = tab.channels[key]
            for state in states:
                if state not in sinks:
                    sink = await self._sink_for_state(self._client_token(tab.sid), state, key[1])
                    if sink is not None:
                        if sink.wants_frames:
                            await self._hub.attach(key, sink)
                        sinks[state] = sink
        except BaseException:
            await self.release(tab, key)
            raise
        if tab.sid not in self.tabs:  # the socket went while we waited
            await self.release(tab, key)

    async def release(self, tab: Tab, key: ChannelKey) -> None:
        """Take a tab out of a channel's room and end its sinks there."""
        sinks = tab.channels.pop(key, None)
        if sinks is None:
            return
        await self._lines.ended(tab, key)
        for sink in sinks.values():
            await self._hub.detach(key, sink)
        await self._hub.detach(key, self._send_frame)
        if tab.sid in self.tabs:
            await self._rooms.leave_room(tab.sid, room_of(key))
        watchers = self._watchers[key]
        watchers.discard(tab.sid)
        if not watchers:
            del self._watchers[key]

    async def release_all(self, tab: Tab) -> None:
        """Take a tab out of all its rooms."""
        for key in list(tab.channels):
            await self.release(tab, key)

    def timed_out(self, sid: str, key: ChannelKey) -> None:
        """Tell a tab's states that it is silent."""
        tab = self.tabs.get(sid)
        for sink in tab.channels.get(key, {}).values() if tab else ():
            sink.timed_out()

    @property
    def count(self) -> int:
        """How many channels are watched, counted for each tab."""
        return sum(len(sids) for sids in self._watchers.values())

    def watching(self, tenant: uuid.UUID) -> dict[ChannelName, int]:
        """How many tabs of this worker watch each of a tenant's channels."""
        return {key[1]: len(sids) for key, sids in self._watchers.items() if key[0] == tenant}


def room_of(key: ChannelKey) -> str:
    """The room of a tenant's channel."""
    return f"{key[0]}/{key[1]}"
