"""The provider inside one process: the executable specification of the contract, and a single worker's wire.

Clients of one `MemoryNetwork` hear each other, as clients of one Ably app would.
"""

from collections import defaultdict

from realtime_ui.core.errors import ProviderUnavailable
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import (
    Capability,
    MessageCallback,
    PresenceAction,
    PresenceCallback,
    PresenceChange,
    PresenceMember,
    RealtimeProvider,
    Unsubscribe,
    WireMessage,
    guarded,
    listen,
)


class MemoryNetwork:
    """What connects the memory providers that share it: who subscribed where, and who is present."""

    def __init__(self) -> None:
        self.subscribers: dict[str, dict[MemoryProvider, MessageCallback]] = defaultdict(dict)
        self.watchers: dict[str, list[PresenceCallback]] = defaultdict(list)
        self.members: dict[str, dict[MemoryProvider, PresenceMember]] = defaultdict(dict)

    def announce(self, channel: str, change: PresenceChange) -> None:
        """Tell a channel's presence watchers."""
        for watcher in list(self.watchers[channel]):
            guarded(watcher, channel, change)


class MemoryProvider(RealtimeProvider):
    """A client of a `MemoryNetwork`.

    Args:
        network: which one; a network of its own when None.
    """

    name = "memory"
    capabilities = Capability.PRESENCE | Capability.MESSAGE_IDS

    def __init__(self, network: MemoryNetwork | None = None) -> None:
        super().__init__()
        self._network = network or MemoryNetwork()
        self._client_id = ""

    async def connect(self, client_id: str) -> None:
        """Connect as `client_id`."""
        self._client_id = client_id
        self._become(ConnectionStatus.CONNECTED)

    async def disconnect(self) -> None:
        """Leave every channel and end the connection."""
        for subscribers in self._network.subscribers.values():
            subscribers.pop(self, None)
        for channel in [name for name, members in self._network.members.items() if self in members]:
            await self.presence_leave(channel)
        self._become(ConnectionStatus.CLOSED)

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""
        self._require_connected()
        self._network.subscribers[channel][self] = callback

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        self._network.subscribers[channel].pop(self, None)

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Hand messages to every subscriber before returning."""
        self._require_connected()
        for message in messages:
            for callback in list(self._network.subscribers[channel].values()):
                guarded(callback, channel, message)

    async def presence_enter(self, channel: str, data: Json = None) -> None:
        """Be present on a channel."""
        self._require_connected()
        members = self._network.members[channel]
        action = PresenceAction.UPDATE if self in members else PresenceAction.ENTER
        members[self] = PresenceMember(self._client_id, data)
        self._network.announce(channel, PresenceChange(action, members[self]))

    async def presence_update(self, channel: str, data: Json) -> None:
        """Say something else about oneself."""
        await self.presence_enter(channel, data)

    async def presence_leave(self, channel: str) -> None:
        """Be gone from a channel."""
        member = self._network.members[channel].pop(self, None)
        if member is not None:
            self._network.announce(channel, PresenceChange(PresenceAction.LEAVE, member))

    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Who is on a channel, by client id."""
        return sorted(self._network.members[channel].values(), key=lambda member: member.client_id)

    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Hear of every change on a channel."""
        self._require_connected()
        return listen(self._network.watchers[channel], callback)

    def _require_connected(self) -> None:
        if not self.is_connected:
            raise ProviderUnavailable("The memory provider is not connected.", remedy="Call connect() first.")
