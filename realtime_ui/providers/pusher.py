"""Pusher Channels as the wire: events out over its HTTP API, in over one WebSocket.

Pusher keeps nothing of a message and gives it no id: what is missed, the log has; whose turn it is to record what
others publish, a lease decides (`Capability.MESSAGE_IDS` is not claimed). Every channel is a private one.
"""

import asyncio
import random
import re
from collections.abc import Mapping
from contextlib import suppress

from realtime_ui.core.backoff import spread
from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import (
    InvalidRequest,
    NotAllowed,
    ProviderRefused,
    ProviderUnavailable,
    RealtimeError,
    TooLarge,
)
from realtime_ui.core.messages import Json, compact
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.base import (
    PATIENCE_S,
    Capability,
    Grant,
    MessageCallback,
    PresenceCallback,
    PresenceMember,
    RealtimeProvider,
    Unsubscribe,
    WireMessage,
    end,
)
from realtime_ui.providers.pace import Pace
from realtime_ui.providers.pusher_api import PusherApi
from realtime_ui.providers.pusher_errors import from_code, from_exception
from realtime_ui.providers.pusher_line import REFUSED_S, PusherLine
from realtime_ui.providers.pusher_names import PRESENCE, from_pusher, to_data, to_pusher
from realtime_ui.settings import Settings

PROTOCOL = 7
BATCH = 10
"""Events that Pusher takes in one call."""
ANY = {"filter_by_prefix": "private-none"}
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 5.0
NO_PRESENCE = "On Pusher nobody sees who is on a channel without being there too."

_SOCKET_ID = re.compile(r"\d{1,20}\.\d{1,20}")


class PusherProvider(RealtimeProvider):
    """One app on Pusher, or on a server that speaks its protocol.

    Args:
        app_id: the app's id.
        key: the app's key.
        secret: the app's secret.
        cluster: where Pusher runs it.
        host: HOST:PORT of another server, in place of the cluster.
        tls: whether that server is reached over TLS.
        rate: messages a second that may be published.
        clock: tells the time.
    """

    name = "pusher"
    capabilities = Capability.FOREIGN_CLIENTS
    max_message_bytes = 9_000  # of Pusher's 10 kB; the rest is for what goes beside the payload

    def __init__(
        self,
        app_id: str,
        key: str,
        secret: str,
        *,
        cluster: str = "",
        host: str = "",
        tls: bool = True,
        rate: float,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._clock = clock or SystemClock()
        self._api = PusherApi(
            f"{'https' if tls else 'http'}://{host or f'api-{cluster}.pusher.com'}", app_id, key, secret
        )
        sockets = host or f"ws-{cluster}.pusher.com"
        self._line = PusherLine(
            f"{'wss' if tls else 'ws'}://{sockets}/app/{key}?protocol={PROTOCOL}&client=realtime-ui&version=1",
            lambda name, socket_id: self._api.authorise(name, socket_id)["auth"],
            self._clock,
            connected=self._connected,
            wrong=self._wrong,
            lost=self._tell_loss,
        )
        self._pace = Pace(rate, self._clock, burst=max(BATCH, rate / 10))
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()

    @classmethod
    def from_settings(cls, settings: Settings) -> "PusherProvider":
        """The app that the settings name.

        Raises:
            ValueError: one is missing or malformed.
        """
        for name in ("pusher_app_id", "pusher_key", "pusher_secret"):
            if not getattr(settings, name):
                raise ValueError(f"{name.upper()} is not set; copy it from the app's page in the Pusher dashboard.")
        if not re.fullmatch(r"[0-9]+", settings.pusher_app_id):
            raise ValueError("PUSHER_APP_ID is not a number; copy it from the app's page in the Pusher dashboard.")
        if not re.fullmatch(r"[A-Za-z0-9_-]+", settings.pusher_key):
            raise ValueError("PUSHER_KEY is not made of letters and digits; copy it from the app's page as it is.")
        if not settings.pusher_cluster and not settings.pusher_host:
            raise ValueError("PUSHER_CLUSTER is not set; it is what the dashboard calls cluster, such as eu.")
        if settings.pusher_cluster and not re.fullmatch(r"[a-z0-9-]+", settings.pusher_cluster):
            raise ValueError("PUSHER_CLUSTER is not a cluster's name, such as eu.")
        if settings.pusher_host and not re.fullmatch(r"[A-Za-z0-9.-]+(:\d+)?", settings.pusher_host):
            raise ValueError("PUSHER_HOST is not HOST or HOST:PORT.")
        return cls(
            settings.pusher_app_id,
            settings.pusher_key,
            settings.pusher_secret,
            cluster=settings.pusher_cluster,
            host=settings.pusher_host,
            tls=settings.pusher_tls or not settings.pusher_host,  # Pusher itself is never asked in the clear
            rate=settings.pusher_rate,
        )

    # Connection

    async def connect(self, client_id: str) -> None:
        """Connect; Pusher needs no client id, messages carry it."""
        if self._task is None:
            self._api.open()
            self._settled.clear()
            self._become(ConnectionStatus.CONNECTING)
            self._task = asyncio.create_task(self._stay_connected(), name="pusher")
        with suppress(TimeoutError):
            await asyncio.wait_for(self._settled.wait(), PATIENCE_S - 0.5)
        if not self.is_connected:
            if self._error is None:
                self._become(self._status, ProviderUnavailable("Pusher does not answer in time."))
            assert self._error is not None
            raise self._error

    async def disconnect(self) -> None:
        """End the connection; subscriptions are forgotten."""
        task, self._task = self._task, None
        if task is not None:
            await end([task])
        await self._api.close()
        self._line.clear()
        self._become(ConnectionStatus.CLOSED)

    async def _stay_connected(self) -> None:
        """Connect, hear, and connect again, until cancelled."""
        pause = BACKOFF_MIN_S
        while True:
            try:
                await self._api.call("GET", "/channels", ANY)  # whether the secret is right
                await self._line.hear()
                error = from_code(None, "it was closed")
            except Exception as cause:
                error = from_exception(cause)
                if error is not cause:
                    error.__cause__ = cause
            if self._status is ConnectionStatus.CONNECTED:
                pause = BACKOFF_MIN_S
            refused = isinstance(error, ProviderRefused)
            self._become(ConnectionStatus.FAILED if refused else ConnectionStatus.DISCONNECTED, error)
            self._settled.set()
            later = max(getattr(error, "retry_after_s", 0.0), pause * random.uniform(0.75, 1.25))
            await self._clock.sleep(spread(REFUSED_S) if refused else later)
            pause = min(pause * 2, BACKOFF_MAX_S)

    def _connected(self) -> None:
        self._become(ConnectionStatus.CONNECTED)
        self._settled.set()

    def _wrong(self, error: RealtimeError | None) -> None:
        """Say what is wrong while connected; what is wrong else, the lack of a connection says."""
        if self.is_connected:
            self._become(self._status, error)

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""
        self._require_connected()
        await self._line.subscribe(channel, callback)

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        await self._line.unsubscribe(channel)

    # Messages

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages, ten in a call."""
        self._require_connected()
        name, events = to_pusher(channel), []
        for message in messages:
            size = len(compact(message.data).encode())
            if size > self.max_message_bytes:
                raise TooLarge(f"A message of {size:,} bytes is more than Pusher takes ({self.max_message_bytes:,}).")
            events.append({"channel": name, "name": message.name, "data": to_data(message)})
        for first in range(0, len(events), BATCH):
            batch = events[first : first + BATCH]
            await self._pace.take(len(batch))
            try:
                await self._api.call("POST", "/batch_events", {"batch": batch})
            except RealtimeError as error:
                self._wrong(error)
                raise
        self._wrong(self._line.refused)

    def _require_connected(self) -> None:
        if not self.is_connected:
            raise ProviderUnavailable("Pusher is not connected.", remedy="It is tried again by itself.")

    # Presence, which Pusher gives to nobody who is not there

    async def presence_enter(self, channel: str, data: Json = None) -> None:
        """Not here."""
        raise ProviderRefused(NO_PRESENCE)

    async def presence_update(self, channel: str, data: Json) -> None:
        """Not here."""
        raise ProviderRefused(NO_PRESENCE)

    async def presence_leave(self, channel: str) -> None:
        """Nobody is."""

    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Not here."""
        raise ProviderRefused(NO_PRESENCE)

    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Not here."""
        raise ProviderRefused(NO_PRESENCE)

    # Others

    async def grant(self, grant: Grant, asked: Mapping[str, str]) -> Json:
        """The authorisation of a socket for one private or presence channel, as pusher-js asks for it.

        Who may hear a private channel may also send client events on it, where the Pusher app has them turned on.
        """
        socket_id, name = asked.get("socket_id", ""), asked.get("channel_name", "")
        if not _SOCKET_ID.fullmatch(socket_id):
            raise InvalidRequest(
                "socket_id is missing or none of Pusher's.",
                field="socket_id",
                remedy="Send what pusher-js sends: socket_id and channel_name.",
            )
        channel = from_pusher(name)
        if channel is None:
            raise InvalidRequest(
                "channel_name is no private- or presence- channel of this app.",
                field="channel_name",
                remedy="It is private-TENANT;TYPE;ID.",
            )
        if not grant.may_read(channel):
            raise NotAllowed(f"You may not hear {channel}.", remedy="Ask for a channel of your own tenant.")
        who = {"user_id": grant.client_id} if name.startswith(PRESENCE) else None
        return self._api.authorise(name, socket_id, who)
