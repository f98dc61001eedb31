"""What this client wants of a channel at Ably, and what it knows of it."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ably.realtime.channel import RealtimeChannel
from ably.types.channelstate import ChannelState, ChannelStateChange
from ably.types.connectionstate import ConnectionState
from ably.types.message import Message
from ably.types.presence import PresenceAction as Action
from ably.types.presence import PresenceMessage

from realtime_ui.core.errors import ProviderUnavailable, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.providers.ably_errors import translate
from realtime_ui.providers.ably_messages import from_ably, from_presence
from realtime_ui.providers.base import (
    MessageCallback,
    PresenceAction,
    PresenceCallback,
    PresenceChange,
    PresenceMember,
    guarded,
)
from realtime_ui.providers.meter import Meter

_WRONG = (ChannelState.FAILED, ChannelState.SUSPENDED)
SKEW_MS = 5_000
"""History is read from that long before our own clock, which need not be Ably's."""


@dataclass
class Attachment:
    """A channel that is to be attached, over whichever client the connection has now.

    Args:
        name: the channel's.
        changed: told when its state is another one.
        heard: counts what comes in over the connection.
    """

    name: str
    changed: Callable[["Attachment"], None]
    heard: Meter
    callback: MessageCallback | None = None
    watchers: list[PresenceCallback] = field(default_factory=list)
    entered: bool = False
    """Whether we are present on it, saying `saying`."""
    saying: Json = None
    error: RealtimeError | None = None
    """Why it is not attached, though the connection is fine."""
    refused_at: float = 0.0
    lost: bool = False
    """Whether messages may be missing, and nobody was told yet."""
    gap: int | None = None
    """Since when (Ably's time, ms) the history is still to be read for them."""
    since: int = 0
    """Ably's time of the newest message, in ms."""
    members: "Members" = field(default_factory=lambda: Members())
    load: Meter = field(default_factory=lambda: Meter())
    was_attached: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody uses it."""
        return self.callback is not None or bool(self.watchers) or self.entered

    @property
    def is_movable(self) -> bool:
        """Whether another connection could take it over: it is heard, and no more than that."""
        return self.callback is not None and not self.watchers and not self.entered

    async def attach(self, channel: RealtimeChannel) -> None:
        """Listen on a client's channel and attach it.

        The listeners are made anew each time, and are plain functions: the SDK runs coroutines in any order.

        Raises:
            Exception: any of the SDK's; or ProviderUnavailable, see `require_attached`.
        """
        channel.off()
        channel.unsubscribe()
        channel.presence.unsubscribe()
        channel.on(lambda change: self._on_state(channel, change))
        self.since = self.since or int(time.time() * 1000) - SKEW_MS
        # Both before the channel is attached, so that nothing passes them by.
        await asyncio.gather(
            channel.subscribe(lambda message: self.take(message)),
            channel.presence.subscribe(lambda message: self._on_presence(message)),
        )
        require_attached(channel)
        if self.entered:
            await channel.presence.enter(self.saying)

    def take(self, *messages: Message) -> None:
        """Hand on messages, from the connection or from the history."""
        self.load.count(len(messages))
        self.heard.count(len(messages))
        for message in messages:
            self.since = max(self.since, int(message.timestamp or 0))
            if self.callback is not None:
                guarded(self.callback, self.name, from_ably(message))

    def correct(self, members: list[PresenceMessage]) -> None:
        """Tell the differences between who was known and who is present."""
        for change in self.members.correct(members):
            self._tell(change)

    def _on_state(self, channel: RealtimeChannel, change: ChannelStateChange) -> None:
        if change.current == ChannelState.ATTACHED:
            if self.was_attached and not change.resumed:
                self.lost, self.gap = True, self.since if self.gap is None else self.gap
            self.was_attached = True
            self.error = None
        elif change.current in _WRONG and channel.ably.connection.state == ConnectionState.CONNECTED:
            # With a connection that fails all its channels do, and that is no fault of theirs.
            self.error = translate(change.reason, f"Attaching to {self.name}")
        self.changed(self)

    def _on_presence(self, message: PresenceMessage) -> None:
        change = self.members.take(message)
        # Those whom the first sync names were there before: who subscribes hears of changes.
        if change is not None and (message.action != Action.PRESENT or self.gap is not None):
            self._tell(change)

    def _tell(self, change: PresenceChange) -> None:
        for watcher in list(self.watchers):
            guarded(watcher, self.name, change)


def require_attached(channel: RealtimeChannel) -> None:
    """See that a channel is, after the SDK said so: it says so too where its client was closed meanwhile.

    Raises:
        ProviderUnavailable: it is not.
    """
    if channel.state != ChannelState.ATTACHED:
        raise ProviderUnavailable("The connection to Ably ended before the channel was attached.")


class Members:
    """Who is present by client id: somebody with several connections is one member, and leaves with the last."""

    def __init__(self) -> None:
        self._connections: dict[str, set[str]] = {}
        self._data: dict[str, Json] = {}

    def take(self, message: PresenceMessage) -> PresenceChange | None:
        """What a message of Ably changes, if anything."""
        name, connection = str(message.client_id), str(message.connection_id)
        if message.action == Action.LEAVE:
            return self._leave(name, connection)
        action = PresenceAction.UPDATE if name in self._connections else PresenceAction.ENTER
        data = from_presence(message.data)
        if message.action == Action.PRESENT and action is PresenceAction.UPDATE and self._data[name] == data:
            self._connections[name].add(connection)
            return None
        self._connections.setdefault(name, set()).add(connection)
        self._data[name] = data
        return PresenceChange(action, PresenceMember(name, data))

    def correct(self, members: list[PresenceMessage]) -> list[PresenceChange]:
        """What is different when exactly these are present."""
        there = {(str(each.client_id), str(each.connection_id)) for each in members}
        known = {(name, connection) for name, connections in self._connections.items() for connection in connections}
        changes = [self.take(each) for each in members]
        changes += [self._leave(name, connection) for name, connection in known - there]
        return [change for change in changes if change is not None]

    def _leave(self, name: str, connection: str) -> PresenceChange | None:
        connections = self._connections.get(name, set())
        if connection not in connections:
            return None
        connections.discard(connection)
        if connections:
            return None
        del self._connections[name]
        return PresenceChange(PresenceAction.LEAVE, PresenceMember(name, self._data.pop(name)))
