"""The contract of a provider: the wire that carries messages between workers and foreign clients.

The log is the truth and the provider only the wire: it may lose, double or reorder; the hub mends it.
The suite in `tests/conformance/` says the same in tests; `MemoryProvider` is its executable form.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import ParamSpec, TypeVar

from realtime_ui.core.errors import NotFound, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus

logger = logging.getLogger(__name__)


class Capability(Flag):
    """What a provider can do beyond plain publish and subscribe."""

    NONE = 0
    PRESENCE = auto()
    """Keeps who is on a channel."""
    FOREIGN_CLIENTS = auto()
    """Programs other than this app can publish and subscribe; `grant` lets them in."""
    MESSAGE_IDS = auto()
    """Every subscriber sees a message under the same id, a foreign one too."""


@dataclass(frozen=True, slots=True)
class WireMessage:
    """A message as it travels.

    `data` is the bare payload; `headers` are strings beside it (seq, epoch, signature), which a foreign
    client need not know. `timestamp` is ms since the Unix epoch. `client_id` is who the provider says sent it;
    `by_client` that it was a client without the account's own key, though the provider need not say which one.
    """

    id: str
    name: str
    data: Json
    timestamp: int
    client_id: str
    headers: Mapping[str, str] = field(default_factory=dict)
    by_client: bool = False


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


@dataclass(frozen=True, slots=True)
class Grant:
    """What a foreign client may do, for a short time.

    `read` and `publish` hold channels as `subscribe` knows them; one that ends in `*` stands for all that begin so.
    `ttl_s` is for how many seconds.
    """

    client_id: str
    read: tuple[str, ...]
    publish: tuple[str, ...]
    ttl_s: float

    def may_read(self, channel: str) -> bool:
        """Whether it covers reading a channel."""
        return any(_covers(pattern, channel) for pattern in self.read)

    def may_publish(self, channel: str) -> bool:
        """Whether it covers publishing on a channel."""
        return any(_covers(pattern, channel) for pattern in self.publish)


def _covers(pattern: str, channel: str) -> bool:
    return channel.startswith(pattern[:-1]) if pattern.endswith("*") else channel == pattern


MessageCallback = Callable[[str, WireMessage], None]
"""Called with the channel and the message, in the order of arrival; must not block."""
StatusCallback = Callable[[ConnectionStatus], None]
ErrorCallback = Callable[[RealtimeError], None]
LossCallback = Callable[[], None]
PresenceCallback = Callable[[str, PresenceChange], None]
Unsubscribe = Callable[[], None]

END_AGAIN_S = 1.5
PATIENCE_S = 5.0
"""No method waits for the service for longer, in s; then it raises `ProviderUnavailable`. (A publish may have to
wait for its turn before, where the service bounds the rate.)"""


class RealtimeProvider(ABC):
    """One connection to a provider. Every method is safe to repeat; `disconnect` ends all it started.

    A connection that breaks, or never came about, is tried again until `disconnect`, and what was subscribed is
    then subscribed again. Callbacks run on the event loop, one after another; an error in one is logged and harms
    no other. Errors are those of `core.errors`, with the service's own as their cause.
    """

    name: str
    capabilities: Capability
    max_message_bytes: int | None = None
    """How large a message's payload may be, as JSON; None where only memory bounds it."""

    def __init__(self) -> None:
        self._status = ConnectionStatus.INITIALIZED
        self._error: RealtimeError | None = None
        self._status_callbacks: list[StatusCallback] = []
        self._error_callbacks: list[ErrorCallback] = []
        self._loss_callbacks: list[LossCallback] = []

    @property
    def status(self) -> ConnectionStatus:
        """How the connection stands now."""
        return self._status

    @property
    def error(self) -> RealtimeError | None:
        """What is wrong now: why it is not connected, or what the service refuses; None when all is well.

        Who looks after the house logs it, once, when it changes; a provider need not.
        """
        return self._error

    @property
    def is_connected(self) -> bool:
        """Whether a publish would go out now."""
        return self._status is ConnectionStatus.CONNECTED

    def on_status(self, callback: StatusCallback) -> Unsubscribe:
        """Hear of every change of status; call the result to stop."""
        return listen(self._status_callbacks, callback)

    def on_error(self, callback: ErrorCallback) -> Unsubscribe:
        """Hear of every new `error`, however short it lasts; call the result to stop."""
        return listen(self._error_callbacks, callback)

    def on_loss(self, callback: LossCallback) -> Unsubscribe:
        """Hear that messages may have been lost, as after every new connection; call the result to stop."""
        return listen(self._loss_callbacks, callback)

    def _become(self, status: ConnectionStatus, error: RealtimeError | None = None) -> None:
        """Take on a status, with what is wrong; tells those who listen, where it is another one."""
        known, self._error = self._error, error
        if status is not self._status:
            self._status = status
            for callback in list(self._status_callbacks):
                guarded(callback, status)
        if error is not None and str(error) != str(known):
            for tell in list(self._error_callbacks):
                guarded(tell, error)

    def _tell_loss(self) -> None:
        for callback in list(self._loss_callbacks):
            guarded(callback)

    @abstractmethod
    async def connect(self, client_id: str) -> None:
        """Connect as `client_id`; returns when connected.

        Raises:
            ProviderUnavailable: the service cannot be reached; it goes on trying.
            ProviderRefused: the service refuses us; it goes on trying, seldom.
        """

    @abstractmethod
    async def disconnect(self) -> None:
        """Leave every channel and end the connection; subscriptions are forgotten."""

    @abstractmethod
    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel; a second call replaces the callback. Own publishes come back too.

        Raises:
            ProviderUnavailable: not connected; the channel is not attached, and not tried again.
            ProviderRefused: the service does not let us.
        """

    @abstractmethod
    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel; no callback begins after it returned."""

    @abstractmethod
    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages, in their order; no subscription is needed. Returns when the provider has all of them.

        Calls for different channels may run at the same time; for one channel, the caller waits for one to end.

        Raises:
            ProviderUnavailable: not connected, or the service refused for now; nothing or some of it was sent.
            ProviderRefused: we may not publish there.
            TooLarge: a message passes `max_message_bytes`.
            RateLimited: the service counts us out for now.
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

    async def grant(self, grant: Grant, asked: Mapping[str, str]) -> Json:
        """What a foreign client shows the service to be let in, limited to `grant`.

        Args:
            grant: what it may do.
            asked: what the client sent along; which of it matters depends on the service.

        Raises:
            NotFound: the service has no foreign clients (`Capability.FOREIGN_CLIENTS`).
            InvalidRequest: something is missing in `asked`.
            NotAllowed: it asks for more than it may.
            ProviderUnavailable: the service is needed for it and away.
        """
        raise NotFound(
            f"The provider {self.name!r} has no clients other than this app.",
            remedy="Follow channels with /api/stream, or set REALTIME_PROVIDER to ably or pusher.",
        )


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks until they are over: httpx sometimes swallows a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=END_AGAIN_S)


P = ParamSpec("P")


def guarded(callback: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a subscriber; its error is logged and harms no other."""
    try:
        callback(*args, **kwargs)
    except Exception:
        logger.exception("A subscriber failed")


T = TypeVar("T")


def listen(listeners: list[T], listener: T) -> Unsubscribe:
    """Add a listener; call the result to take it away, as often as you like."""
    listeners.append(listener)
    return lambda: listeners.remove(listener) if listener in listeners else None
