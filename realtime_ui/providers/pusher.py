"""Pusher Channels as the wire: events out over its HTTP API, in over one WebSocket.

Pusher keeps nothing of a message and gives it no id: what is missed, the log has; whose turn it is to record what
others publish, a lease decides (`Capability.MESSAGE_IDS` is not claimed). Every channel is a private one.
"""

import asyncio
import json
import logging
import random
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import httpx
import pusher
from pusher.http import Request
from pusher.pusher_client import PusherClient
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import (
    InvalidRequest,
    NotAllowed,
    ProviderRefused,
    ProviderUnavailable,
    RealtimeError,
    TooLarge,
)
from realtime_ui.core.messages import Json
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
    guarded,
)
from realtime_ui.providers.pace import Pace
from realtime_ui.providers.pusher_errors import from_code, from_exception, from_status
from realtime_ui.providers.pusher_names import PRESENCE, from_event, from_pusher, to_data, to_pusher
from realtime_ui.settings import Settings

logger = logging.getLogger(__name__)

PROTOCOL = 7
BATCH = 10
"""Events that Pusher takes in one call."""
SILENCE_S = 10.0
"""After so long without a frame the line is asked whether it is there; Pusher's own 120 s would be long."""
ANSWER_S = 4.0
LOOK_S = 1.0
"""How often, at the most, it is looked whether channels wait for an answer, or are to be asked for again."""
BACKOFF_MIN_S, BACKOFF_MAX_S = 0.25, 5.0
REFUSED_S = 30.0
"""How long what Pusher refuses is left alone."""
NO_PRESENCE = "On Pusher nobody sees who is on a channel without being there too."

_SOCKET_ID = re.compile(r"\d{1,20}\.\d{1,20}")
_WRONGLY_SIGNED = re.compile(r"Invalid signature: .* of [\d.]+:(\S+), but got")
"""How Pusher itself refuses a channel: an error without a code, which names it in its text alone."""


@dataclass(slots=True)
class _Subscription:
    """A channel that is to be heard."""

    channel: str
    callback: MessageCallback
    attached: "asyncio.Future[None] | None" = None
    asked: float = 0.0  # when, in s of the monotonic clock
    refused: ProviderRefused | None = None


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
        sockets = host or f"ws-{cluster}.pusher.com"
        self._url = f"{'wss' if tls else 'ws'}://{sockets}/app/{key}?protocol={PROTOCOL}&client=realtime-ui&version=1"
        self._api_url = f"{'https' if tls else 'http'}://{host or f'api-{cluster}.pusher.com'}"
        self._path = f"/apps/{app_id}"
        self._signer = pusher.Pusher(app_id, key, secret)
        self._account = PusherClient(app_id, key, secret)
        self._clock = clock or SystemClock()
        self._pace = Pace(rate, self._clock, burst=max(BATCH, rate / 10))
        self._subscriptions: dict[str, _Subscription] = {}  # by Pusher's name
        self._socket: ClientConnection | None = None
        self._socket_id = ""
        self._http: httpx.AsyncClient | None = None
        self._task: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()
        self._was_connected = False
        self._may_have_lost = False  # until all is subscribed again

    @classmethod
    def from_settings(cls, settings: Settings) -> "PusherProvider":
        """The app that the settings name.

        Raises:
            ValueError: one is missing or malformed.
        """
        for name in ("pusher_app_id", "pusher_key", "pusher_secret"):
            if not getattr(settings, name):
                raise ValueError(f"{name.upper()} is not set; copy it from the app's page in the Pusher dashboard.")
        if not settings.pusher_app_id.isdigit():
            raise ValueError("PUSHER_APP_ID is not a number; copy it from the app's page in the Pusher dashboard.")
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
            tls=settings.pusher_tls,
            rate=settings.pusher_rate,
        )

    # Connection

    async def connect(self, client_id: str) -> None:
        """Connect; Pusher needs no client id, messages carry it."""
        if self._task is None:
            self._http = httpx.AsyncClient(base_url=self._api_url, timeout=ANSWER_S, trust_env=False)
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
        if self._http is not None:
            await self._http.aclose()
            self._http = None
        self._subscriptions.clear()
        self._was_connected = False
        self._become(ConnectionStatus.CLOSED)

    async def _stay_connected(self) -> None:
        """Connect, hear, and connect again, until cancelled."""
        pause = BACKOFF_MIN_S
        while True:
            try:
                await self._hear_until_it_breaks()
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
            await self._clock.sleep(REFUSED_S if refused else later)
            pause = min(pause * 2, BACKOFF_MAX_S)

    async def _hear_until_it_breaks(self) -> None:
        await self._call("GET", "/channels", {"filter_by_prefix": "private-none"})  # whether the secret is right
        async with connect(self._url, ping_interval=None, open_timeout=ANSWER_S, close_timeout=0.5) as socket:
            async with asyncio.timeout(ANSWER_S):
                first = json.loads(await socket.recv())
            if first.get("event") != "pusher:connection_established":
                self._raise_error(first)
            told = json.loads(first["data"])
            self._socket_id = str(told["socket_id"])
            self._socket = socket
            try:
                for subscription in list(self._subscriptions.values()):
                    await self._ask_to_attach(subscription)
                self._connected()
                await self._hear(socket, min(SILENCE_S, float(told.get("activity_timeout") or SILENCE_S)))
            finally:
                self._socket = None
                for subscription in self._subscriptions.values():
                    if subscription.attached and not subscription.attached.done():
                        subscription.attached.cancel()

    def _connected(self) -> None:
        self._become(ConnectionStatus.CONNECTED)
        self._settled.set()
        self._may_have_lost, self._was_connected = self._was_connected, True
        self._tell_of_loss()

    def _tell_of_loss(self) -> None:
        """After a new connection, as soon as every channel is heard again."""
        if self._may_have_lost and all(each.attached and each.attached.done() for each in self._subscriptions.values()):
            self._may_have_lost = False
            self._tell_loss()

    async def _hear(self, socket: ClientConnection, silence_s: float) -> None:
        """Take frames; a line that is silent is asked, and given up when it stays so."""
        asked, looked = False, self._clock.monotonic()
        while True:
            if (now := self._clock.monotonic()) - looked >= min(LOOK_S, silence_s):
                looked = now
                await self._look_after_channels(now)
            try:
                async with asyncio.timeout(ANSWER_S if asked else silence_s):
                    text = await socket.recv()
                asked = False
            except TimeoutError:
                if asked:
                    raise ProviderUnavailable("Pusher fell silent.") from None
                asked = True
                await socket.send(_frame("pusher:ping", {}))
                continue
            try:
                await self._take(socket, json.loads(text))
            except (RealtimeError, ConnectionClosed):
                raise
            except Exception:  # a client may send anything, and every worker would be thrown out by it
                logger.warning("A frame from Pusher cannot be read and is passed over")

    async def _look_after_channels(self, now: float) -> None:
        """Ask again, seldom, for those that are refused; give the line up when it does not answer for one."""
        for each in list(self._subscriptions.values()):
            if each.refused and now - each.asked > REFUSED_S:
                await self._ask_to_attach(each)
            elif each.attached and not each.attached.done() and now - each.asked > PATIENCE_S:
                raise ProviderUnavailable(f"Pusher does not answer for {each.channel}.")

    async def _take(self, socket: ClientConnection, frame: Json) -> None:
        event, name = frame["event"], frame.get("channel", "")
        subscription = self._subscriptions.get(name)
        if event == "pusher:ping":
            await socket.send(_frame("pusher:pong", {}))
        elif event == "pusher:error":
            if (wronged := self._wrongly_signed(frame)) is not None:
                self._attached(wronged, _not_heard(wronged, "401: Invalid signature"))
            else:
                self._raise_error(frame)
        elif subscription is None:
            pass  # let go of meanwhile, or the answer to a ping
        elif event == "pusher_internal:subscription_succeeded":
            self._attached(subscription, None)
        elif event == "pusher:subscription_error":
            reason = frame.get("data") or {}
            self._attached(subscription, _not_heard(subscription, f"{reason.get('status')}: {reason.get('error')}"))
        elif not event.startswith(("pusher:", "pusher_internal:")):
            message = from_event(event, frame.get("data"), str(frame.get("user_id", "")))
            guarded(subscription.callback, subscription.channel, message)

    def _wrongly_signed(self, frame: Json) -> _Subscription | None:
        """The channel that an error refuses, if it is about one."""
        found = _WRONGLY_SIGNED.match(str(_data_of(frame).get("message")))
        return self._subscriptions.get(found[1]) if found else None

    def _raise_error(self, frame: Json) -> None:
        """Act on an error that the socket told: those below 4300 end the connection."""
        data = _data_of(frame)
        code = data.get("code")
        error = from_code(int(code) if code is not None else None, str(data.get("message", "")))
        if code is not None and 4000 <= int(code) < 4300:
            raise error
        self._become(self._status, error)

    # Channels

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""
        self._require_connected()
        name = to_pusher(channel)
        known = self._subscriptions.get(name)
        if known is not None and known.refused is None:
            known.callback = callback
            if known.attached is None or known.attached.done():
                return
            subscription = known
        else:
            subscription = _Subscription(channel, callback)
            self._subscriptions[name] = subscription
            try:
                await self._ask_to_attach(subscription)
            except RealtimeError:
                self._forget(name, subscription)
                raise
        assert subscription.attached is not None
        await asyncio.wait({subscription.attached}, timeout=PATIENCE_S - 1)
        attached = subscription.attached
        if attached.done() and not attached.cancelled() and attached.exception() is None:
            return
        self._forget(name, subscription)
        if attached.done() and not attached.cancelled() and (error := attached.exception()):
            raise error
        raise ProviderUnavailable(f"Pusher did not answer to {channel} in time.")

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        name = to_pusher(channel)
        if (subscription := self._subscriptions.get(name)) is None:
            return
        self._forget(name, subscription)
        if self._socket is not None:
            with suppress(Exception):  # a line that breaks forgets it too
                await self._socket.send(_frame("pusher:unsubscribe", {"channel": name}))

    def _forget(self, name: str, subscription: _Subscription) -> None:
        if self._subscriptions.get(name) is subscription:
            del self._subscriptions[name]
            self._clear_refusal()
            self._tell_of_loss()  # it may be the last one that was waited for

    async def _ask_to_attach(self, subscription: _Subscription) -> None:
        if self._socket is None:
            raise ProviderUnavailable("Pusher is not connected.", remedy="It is tried again by itself.")
        name = to_pusher(subscription.channel)
        subscription.asked = self._clock.monotonic()
        if subscription.attached is None or subscription.attached.done():
            subscription.attached = asyncio.get_running_loop().create_future()
        auth = self._signer.authenticate(name, self._socket_id)["auth"]
        try:
            await self._socket.send(_frame("pusher:subscribe", {"channel": name, "auth": auth}))
        except Exception as error:
            raise from_exception(error) from error

    def _attached(self, subscription: _Subscription, refused: ProviderRefused | None) -> None:
        waiting, subscription.refused = subscription.attached, refused
        if waiting is not None and not waiting.done():
            if refused is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(refused)
                waiting.exception()  # nobody may be waiting
        if refused is not None:
            self._become(self._status, refused)
        else:
            self._clear_refusal()
        self._tell_of_loss()

    def _clear_refusal(self) -> None:
        """Nothing is wrong any more, unless another channel is refused."""
        if self.is_connected:
            refused = (each.refused for each in self._subscriptions.values() if each.refused)
            self._become(self._status, next(refused, None))

    # Messages

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages, ten in a call."""
        self._require_connected()
        name, events = to_pusher(channel), []
        for message in messages:
            size = len(json.dumps(message.data, ensure_ascii=False, separators=(",", ":")).encode())
            if size > self.max_message_bytes:
                raise TooLarge(f"A message of {size:,} bytes is more than Pusher takes ({self.max_message_bytes:,}).")
            events.append({"channel": name, "name": message.name, "data": to_data(message)})
        for first in range(0, len(events), BATCH):
            batch = events[first : first + BATCH]
            await self._pace.take(len(batch))
            await self._call("POST", "/batch_events", {"batch": batch})
        self._clear_refusal()

    async def _call(self, method: str, path: str, content: Mapping[str, Json]) -> None:
        """One signed call of the HTTP API."""
        if self._http is None:
            raise ProviderUnavailable("Pusher is not connected.", remedy="Call connect() first.")
        request = Request(self._account, method, self._path + path, dict(content))
        try:
            async with asyncio.timeout(ANSWER_S):  # httpx bounds each of its steps, not all of them
                answer = await self._http.request(
                    method, request.signed_path, content=request.body, headers=request.headers
                )
        except Exception as cause:
            raise from_exception(cause) from cause
        if not answer.is_success:
            error = from_status(answer.status_code, answer.text)
            self._become(self._status, error)
            raise error

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
        return self._signer.authenticate(name, socket_id, who)


def _frame(event: str, data: Json) -> str:
    return json.dumps({"event": event, "data": data})


def _data_of(frame: Json) -> dict[str, Json]:
    """What an error says: Pusher sends an object, some servers of its protocol a string that holds one."""
    data = frame.get("data") or {}
    return dict(json.loads(data) if isinstance(data, str) else data)


def _not_heard(subscription: _Subscription, why: str) -> ProviderRefused:
    return ProviderRefused(
        f"Pusher does not let us hear {subscription.channel} ({why}).", remedy="Check PUSHER_SECRET."
    )
