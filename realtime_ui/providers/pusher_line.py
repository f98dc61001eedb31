"""One WebSocket to Pusher after another, and the channels that are heard on it."""

import asyncio
import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.providers.base import PATIENCE_S, MessageCallback, guarded
from realtime_ui.providers.pusher_errors import from_code, from_exception, told
from realtime_ui.providers.pusher_names import from_event, to_pusher

logger = logging.getLogger(__name__)

SILENCE_S = 10.0
"""After so long without a frame the line is asked whether it is there; Pusher's own 120 s would be long."""
ANSWER_S = 4.0
LOOK_S = 1.0
"""How often, at the most, it is looked whether channels wait for an answer, or are to be asked for again."""
REFUSED_S = 30.0
"""How long what Pusher refuses is left alone."""

_WRONGLY_SIGNED = re.compile(r"Invalid signature: .* of [\d.]+:(\S+), but got")
"""How Pusher itself refuses a channel: an error without a code, which names it in its text alone."""

Authorise = Callable[[str, str], str]
"""Signs a channel, by Pusher's name, for a socket."""


@dataclass(slots=True)
class _Subscription:
    """A channel that is to be heard."""

    channel: str
    callback: MessageCallback
    attached: "asyncio.Future[None] | None" = None
    asked: float = 0.0  # when, in s of the clock
    refused: ProviderRefused | None = None


class PusherLine:
    """What is subscribed outlives a socket that breaks.

    Args:
        url: where sockets are opened.
        authorise: signs channels.
        clock: tells the time.
        connected: called when a socket is there.
        wrong: called with what Pusher refuses now; None when it is nothing any more.
        lost: called when all channels are heard again after a break.
    """

    def __init__(
        self,
        url: str,
        authorise: Authorise,
        clock: Clock,
        *,
        connected: Callable[[], None],
        wrong: Callable[[RealtimeError | None], None],
        lost: Callable[[], None],
    ) -> None:
        self._url = url
        self._authorise = authorise
        self._clock = clock
        self._connected = connected
        self._wrong = wrong
        self._lost = lost
        self._subscriptions: dict[str, _Subscription] = {}  # by Pusher's name
        self._socket: ClientConnection | None = None
        self._socket_id = ""
        self._answered = 0.0
        self._may_have_lost = False  # until all is subscribed again

    @property
    def refused(self) -> ProviderRefused | None:
        """What Pusher says of a channel that it does not let us hear."""
        return next((each.refused for each in self._subscriptions.values() if each.refused), None)

    async def hear(self) -> None:
        """Open a socket, ask for all channels, and hear until it breaks.

        Raises:
            RealtimeError, WebSocketException, OSError, TimeoutError: it broke, or did not come about.
        """
        async with connect(self._url, ping_interval=None, open_timeout=ANSWER_S, close_timeout=0.5) as socket:
            async with asyncio.timeout(ANSWER_S):
                first = json.loads(await socket.recv())
            if first.get("event") == "pusher:error":
                raise _error_in(first)
            settings = json.loads(first["data"])
            self._socket, self._socket_id = socket, str(settings["socket_id"])
            self._may_have_lost = bool(self._subscriptions)
            try:
                for subscription in list(self._subscriptions.values()):
                    await self._ask_for(subscription)
                self._connected()
                await self._take_all(socket, min(SILENCE_S, float(settings.get("activity_timeout") or SILENCE_S)))
            finally:
                self._socket = None
                for subscription in self._subscriptions.values():
                    if subscription.attached and not subscription.attached.done():
                        subscription.attached.cancel()

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Hear a channel, from when Pusher says so.

        Raises:
            ProviderUnavailable, ProviderRefused: it is not heard, and not asked for again.
        """
        name = to_pusher(channel)
        subscription = self._subscriptions.get(name)
        if subscription is None or subscription.refused:
            subscription = self._subscriptions[name] = _Subscription(channel, callback)
        subscription.callback = callback
        try:
            if subscription.attached is None:
                await self._ask_for(subscription)
            assert subscription.attached is not None
            await asyncio.wait({subscription.attached}, timeout=PATIENCE_S - 1)
            if not subscription.attached.done() or subscription.attached.cancelled():
                raise ProviderUnavailable(f"Pusher did not answer to {channel} in time.")
            subscription.attached.result()
        except RealtimeError:
            self._forget(name, subscription)
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Hear it no more."""
        name = to_pusher(channel)
        if (subscription := self._subscriptions.get(name)) is None:
            return
        self._forget(name, subscription)
        if self._socket is not None:
            with suppress(Exception):  # a line that breaks forgets it too
                await self._socket.send(_frame("pusher:unsubscribe", {"channel": name}))

    def clear(self) -> None:
        """Hear nothing."""
        self._subscriptions.clear()

    def _forget(self, name: str, subscription: _Subscription) -> None:
        if self._subscriptions.get(name) is subscription:
            del self._subscriptions[name]
            self._wrong(self.refused)
            self._tell_of_loss()  # it may be the last one that was waited for

    async def _ask_for(self, subscription: _Subscription) -> None:
        if self._socket is None:
            raise ProviderUnavailable("Pusher is not connected.", remedy="It is tried again by itself.")
        name = to_pusher(subscription.channel)
        subscription.asked = self._clock.monotonic()
        if subscription.attached is None or subscription.attached.done():
            subscription.attached = asyncio.get_running_loop().create_future()
        auth = self._authorise(name, self._socket_id)
        try:
            await self._socket.send(_frame("pusher:subscribe", {"channel": name, "auth": auth}))
        except Exception as error:
            raise from_exception(error) from error

    def _answer(self, subscription: _Subscription, refusal: str = "") -> None:
        """Pusher lets us hear a channel, or says why not."""
        self._answered = self._clock.monotonic()
        waiting, subscription.refused = subscription.attached, None
        if refusal:
            text = f"Pusher does not let us hear {subscription.channel} ({refusal})."
            subscription.refused = ProviderRefused(text, remedy="Check PUSHER_SECRET.")
        if waiting is not None and not waiting.done():
            if subscription.refused is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(subscription.refused)
                waiting.exception()  # nobody may be waiting
        self._wrong(subscription.refused or self.refused)
        self._tell_of_loss()

    def _tell_of_loss(self) -> None:
        """After a new connection, as soon as every channel is heard again."""
        if self._may_have_lost and all(each.attached and each.attached.done() for each in self._subscriptions.values()):
            self._may_have_lost = False
            self._lost()

    async def _take_all(self, socket: ClientConnection, silence_s: float) -> None:
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
        """Ask again, seldom, for those that are refused; give the line up when it answers for none any more."""
        for each in list(self._subscriptions.values()):
            if each.refused and now - each.asked > REFUSED_S:
                await self._ask_for(each)
            elif each.attached and not each.attached.done() and now - max(each.asked, self._answered) > PATIENCE_S:
                raise ProviderUnavailable(f"Pusher does not answer for {each.channel}.")

    async def _take(self, socket: ClientConnection, frame: Json) -> None:
        event, subscription = frame["event"], self._subscriptions.get(frame.get("channel", ""))
        if event == "pusher:ping":
            await socket.send(_frame("pusher:pong", {}))
        elif event == "pusher:error":
            self._take_error(frame)
        elif subscription is None:
            pass  # let go of meanwhile, or the answer to a ping
        elif event == "pusher_internal:subscription_succeeded":
            self._answer(subscription)
        elif event == "pusher:subscription_error":
            reason = frame.get("data") or {}
            self._answer(subscription, f"{reason.get('status')}: {reason.get('error')}")
        elif not event.startswith(("pusher:", "pusher_internal:")):
            message = from_event(event, frame.get("data"), str(frame.get("user_id", "")))
            guarded(subscription.callback, subscription.channel, message)

    def _take_error(self, frame: Json) -> None:
        """Act on an error that the socket told: it refuses a channel, ends the connection, or is for us to know."""
        wronged = _WRONGLY_SIGNED.match(str(_data_of(frame).get("message")))
        subscription = self._subscriptions.get(wronged[1]) if wronged else None
        if subscription is not None:
            self._answer(subscription, "401: invalid signature")
            return
        error = _error_in(frame)
        if 4000 <= (_data_of(frame).get("code") or 0) < 4300:
            raise error
        self._wrong(error)


def _frame(event: str, data: Json) -> str:
    return json.dumps({"event": event, "data": data})


def _data_of(frame: Json) -> dict[str, Json]:
    """What an error says: Pusher sends an object, some servers of its protocol a string that holds one."""
    data = frame.get("data") or {}
    return dict(json.loads(data) if isinstance(data, str) else data)


def _error_in(frame: Json) -> RealtimeError:
    data = _data_of(frame)
    code, text = data.get("code"), str(data.get("message", ""))
    return told(text) if code is None else from_code(int(code), text)
