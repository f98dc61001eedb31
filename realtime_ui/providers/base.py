"""The contract of a provider: the wire that carries messages between workers and foreign clients.

The log is the truth and the provider only the wire: it may lose, double or reorder; the hub mends it.
The suite in `tests/conformance/` says the same in tests; `MemoryProvider` is its executable form.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto

from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus


class Capability(Flag):
    """What a provider can do beyond plain publish and subscribe."""

    NONE = 0
    PRESENCE = auto()
    """Keeps who is on a channel."""
    FOREIGN_CLIENTS = auto()
    """Programs other than this app can publish and subscribe."""


@dataclass(frozen=True, slots=True)
class WireMessage:
    """A message as it travels.

    `data` is the bare payload; `headers` are strings beside it (seq, epoch, signature), which a foreign
    client need not know. `timestamp` is ms since the Unix epoch.
    """

    id: str
    name: str
    data: Json
    timestamp: int
    client_id: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PresenceMember:
    """One client's entry on a channel, with what it said about itself."""

    client_id: str
    data: Json


class PresenceAction(Flag):
    """What happened to an entry."""

    ENTER = auto()
    UPDATE = auto()
    LEAVE = auto()


@dataclass(frozen=True, slots=True)
class PresenceChange:
    """One change of who is on a channel."""

    action: PresenceAction
    member: PresenceMember


MessageCallback = Callable[[str, WireMessage], None]
"""Called with the channel and the message, in the order of arrival; must not block."""
StatusCallback = Callable[[ConnectionStatus], None]
PresenceCallback = Callable[[str, PresenceChange], None]
Unsubscribe = Callable[[], None]


class RealtimeProvider(ABC):
    """One connection to a provider. Every method is safe to repeat; `disconnect` ends all it started.

    Callbacks run on the event loop, one after another; an error in one is logged and harms no other.
    """

    name: str
    capabilities: Capability

    @abstractmethod
    async def connect(self, client_id: str) -> None:
        """Connect as `client_id`; returns when connected.

        Raises:
            ProviderUnavailable: the service cannot be reached; it goes on trying.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave every channel and end the connection; subscriptions are forgotten."""

    @property
    @abstractmethod
    def status(self) -> ConnectionStatus:
        """How the connection stands now."""

    @property
    def is_connected(self) -> bool:
        """Whether a publish would go out now."""
        return self.status is ConnectionStatus.CONNECTED

    @abstractmethod
    def on_status(self, callback: StatusCallback) -> Unsubscribe:
        """Hear of every change of status; call the result to stop."""

    @abstractmethod
    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel; a second call replaces the callback. Own publishes come back too.

        Raises:
            ProviderUnavailable: not connected.
        """

    @abstractmethod
    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel; no callback begins after it returned."""

    @abstractmethod
    async def publish(self, channel: str, message: WireMessage) -> None:
        """Send a message; no subscription is needed. Returns when the provider has it.

        Raises:
            ProviderUnavailable: not connected, or the service refused for now.
        """

    @abstractmethod
    async def presence_enter(self, channel: str, data: Json = None) -> None:
        """Be present on a channel, saying `data` about oneself; entering again is an update."""

    @abstractmethod
    async def presence_update(self, channel: str, data: Json) -> None:
        """Say something else about oneself; enters where not present."""

    @abstractmethod
    async def presence_leave(self, channel: str) -> None:
        """Be gone from a channel."""

    @abstractmethod
    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Who is on a channel, by client id."""

    @abstractmethod
    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Hear of every change on a channel from now on; call the result to stop."""
