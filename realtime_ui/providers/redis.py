"""The provider on Redis (6.2 or newer) or Valkey: pub/sub for the wire, sorted sets with leases for presence.

Redis keeps nothing of a message. Whoever was not connected while it was published, or whose connection broke,
has lost it; the hub reads it from the log when it hears of a loss.
"""

import asyncio
import json
import random
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, Unavailable
from realtime_ui.core.messages import Json, compact
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
    logger,
)
from realtime_ui.providers.redis_line import Command, Line, check_address, in_our_words
from realtime_ui.providers.redis_scripts import LEAVE, LOOK, PUT

WIRE, CHANGES = "realtime-ui:wire:", "realtime-ui:presence:"
"""What a Redis channel begins with: that of messages, and that of presence changes."""
LEASES, SAID = "realtime-ui:leases:", "realtime-ui:said:"
"""What a key begins with: a sorted set of client ids by when their lease ends, and a hash of what they said."""
LEASE_S = 15.0
CONNECT_S, BEAT_S = 3.0, 1.0
RETRY_MIN_S, RETRY_MAX_S, RETRY_REFUSED_S = 0.1, 3.0, 30.0


class RedisProvider(RealtimeProvider):
    """Two connections to one server: one asks, one hears. A task of its own keeps both.

    Args:
        url: `redis://USER:PASSWORD@HOST:PORT/DB`, `rediss://…` for TLS, or `unix://PATH`.
        lease_s: for how long the presence of a client is believed in that died without a word, in s.

    Raises:
        ValueError: REDIS_URL is missing or malformed.
    """

    name = "redis"
    capabilities = Capability.PRESENCE | Capability.MESSAGE_IDS

    def __init__(self, url: str, *, lease_s: float = LEASE_S) -> None:
        super().__init__()
        if not url:
            raise ValueError("REDIS_URL is not set; the provider redis needs it, such as redis://localhost:6379.")
        check_address(url)
        self._url = url
        self._lease_s = lease_s
        self._client_id = ""
        self._ended = asyncio.Event()
        self._asks = self._hears = Line(url, self._ended)
        self._callbacks: dict[str, MessageCallback] = {}
        self._watchers: dict[str, list[PresenceCallback]] = {}
        self._present: dict[str, str] = {}
        self._refused: dict[str, ProviderRefused] = {}
        self._keeper: asyncio.Task[None] | None = None

    async def connect(self, client_id: str) -> None:
        """Connect as `client_id`."""
        if self._keeper is None:
            self._client_id = client_id
            self._become(ConnectionStatus.CONNECTING)
            outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._keeper = asyncio.create_task(self._keep(outcome), name="redis-keep")
            await outcome
        elif not self.is_connected:
            raise self._error or self._asks.error

    async def disconnect(self) -> None:
        """Leave every channel and end both connections."""
        for channel in list(self._present):
            try:
                await self.presence_leave(channel)
            except Unavailable:  # its lease ends
                break
        if self._keeper:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
            self._keeper = None
        for kept in (self._callbacks, self._watchers, self._present, self._refused):
            kept.clear()
        self._become(ConnectionStatus.CLOSED)

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""
        self._require_connected()
        attached = channel in self._callbacks
        self._callbacks[channel] = callback
        if attached:
            return
        try:
            await self._listen(WIRE + channel)
        except Unavailable:
            self._callbacks.pop(channel, None)
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        self._note(WIRE + channel, None)
        if self._callbacks.pop(channel, None) and self.is_connected:
            with suppress(ProviderUnavailable):  # the next connection does not subscribe to it
                await self._hears.ask(("UNSUBSCRIBE", WIRE + channel))

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages, without waiting for what others have under way."""
        self._require_connected()
        answers = await self._asks.ask(*(("PUBLISH", WIRE + channel, _encode(message)) for message in messages))
        self._check(f"publish {channel}", answers)

    async def presence_enter(self, channel: str, data: Json = None) -> None:
        """Be present on a channel."""
        self._require_connected()
        said = compact(data)
        await self._ask_about(channel, self._put(channel, said, renew=False))
        self._present[channel] = said

    async def presence_update(self, channel: str, data: Json) -> None:
        """Say something else about oneself."""
        await self.presence_enter(channel, data)

    async def presence_leave(self, channel: str) -> None:
        """Be gone from a channel."""
        self._require_connected()
        self._present.pop(channel, None)
        await self._ask_about(channel, _script(LEAVE, channel, self._client_id))

    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Who is on a channel, by client id."""
        self._require_connected()
        flat = await self._ask_about(channel, _script(LOOK, channel))
        pairs = zip(flat[::2], flat[1::2], strict=True)
        return sorted(
            (PresenceMember(who.decode(), json.loads(said)) for who, said in pairs), key=lambda m: m.client_id
        )

    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Hear of every change on a channel; after a loss, `presence_get` says what was missed."""
        self._require_connected()
        watchers = self._watchers.setdefault(channel, [])
        stop = listen(watchers, callback)
        try:
            await self._listen(CHANGES + channel)
        except Unavailable:
            stop()
            raise
        return stop

    def _require_connected(self) -> None:
        if not self.is_connected:
            raise ProviderUnavailable("Redis is not connected.", remedy="It is tried again; see /api/health.")

    async def _ask_about(self, channel: str, command: Command) -> Any:
        """Ask a script about who is present on a channel."""
        answers = await self._asks.ask(command)
        self._check(f"presence {channel}", answers)
        return answers[0]

    async def _listen(self, *redis_channels: str) -> None:
        """Have Redis send what is published on some channels; the first refusal is raised when all are answered."""
        answers = await self._hears.ask(*(("SUBSCRIBE", each) for each in redis_channels))
        refusal = None
        for each, answer in zip(redis_channels, answers, strict=True):
            try:
                self._check(each, [answer])
            except Unavailable as error:
                refusal = refusal or error
        if refusal:
            raise refusal

    def _check(self, what: str, answers: Iterable[Any]) -> None:
        """Raise the first error among Redis's answers, and remember what it refuses until it does no more."""
        found = next((answer for answer in answers if isinstance(answer, Exception)), None)
        error = in_our_words(found) if found else None
        self._note(what, error if isinstance(error, ProviderRefused) else None)
        if error:
            raise error

    def _note(self, what: str, refusal: ProviderRefused | None) -> None:
        if refusal:
            self._refused[what] = refusal
        elif self._refused.pop(what, None) is None:
            return
        if self.is_connected:
            self._become(ConnectionStatus.CONNECTED, next(iter(self._refused.values()), None))

    async def _keep(self, outcome: "asyncio.Future[None]") -> None:
        """Connect, look after it, and connect again, for ever.

        Args:
            outcome: is told how the first try ends.
        """
        pause = RETRY_MIN_S
        while True:
            try:
                await self._open()
                self._become(ConnectionStatus.CONNECTED, next(iter(self._refused.values()), None))
                pause = RETRY_MIN_S
                if outcome.done():
                    self._tell_loss()
                else:
                    outcome.set_result(None)
                await self._look_after()
            except Unavailable as error:
                self._become(ConnectionStatus.DISCONNECTED, error)
                if not outcome.done():
                    outcome.set_exception(error)
                patience = pause if error.retryable else RETRY_REFUSED_S
            except Exception as error:
                logger.exception("The connection to Redis failed in a way that nobody thought of")
                self._become(ConnectionStatus.DISCONNECTED, in_our_words(error))
                patience = RETRY_MAX_S
            finally:
                for line in (self._asks, self._hears):
                    await line.close()
            await asyncio.sleep(patience * random.uniform(0.5, 1))
            pause = min(pause * 2, RETRY_MAX_S)

    async def _open(self) -> None:
        """Open both connections and be again where this client was.

        Raises:
            ProviderUnavailable, ProviderRefused: as `connect` does.
        """
        self._ended = asyncio.Event()
        self._asks, self._hears = Line(self._url, self._ended), Line(self._url, self._ended, self._hear)
        self._refused.clear()
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._asks.open()
                await self._hears.open()
                with suppress(ProviderRefused):  # of single channels; `_look_after` tries them again
                    await self._listen(*self._heard())
                await self._renew()
        except TimeoutError as error:
            raise in_our_words(error) from error

    async def _look_after(self) -> None:
        """Beat until a connection ends; renew leases; ask again, seldom, for what was refused.

        Raises:
            ProviderUnavailable, ProviderRefused: why it ended.
        """
        renewed = asked = time.monotonic()
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), BEAT_S)
            for line in (self._asks, self._hears):
                await line.beat()
            now = time.monotonic()
            if now - renewed >= self._lease_s / 3:
                renewed = now
                await self._renew()
            if self._refused and now - asked >= RETRY_REFUSED_S:
                asked = now
                await self._ask_again()

    async def _renew(self) -> None:
        """Be present for another lease where this client is, and have those ended that nobody renewed."""
        for channel in [each for each, watchers in self._watchers.items() if not watchers]:
            del self._watchers[channel]
            await self._hears.ask(("UNSUBSCRIBE", CHANGES + channel))
        mine = [self._put(channel, said, renew=True) for channel, said in self._present.items()]
        watched = [_script(LOOK, channel) for channel in self._watchers if channel not in self._present]
        await self._asks.ask(*mine, *watched)

    async def _ask_again(self) -> None:
        with suppress(ProviderRefused):
            await self._listen(*(each for each in self._heard() if each in self._refused))
        self._tell_loss()

    def _heard(self) -> list[str]:
        """The Redis channels that this client wants to hear."""
        return [*(WIRE + each for each in self._callbacks), *(CHANGES + each for each in self._watchers)]

    def _put(self, channel: str, said: str, *, renew: bool) -> Command:
        return _script(PUT, channel, self._client_id, said, round(self._lease_s * 1000), int(renew))

    def _hear(self, channel: bytes, payload: bytes) -> None:
        name = channel.decode()
        try:
            if name.startswith(WIRE):
                name = name.removeprefix(WIRE)
                if callback := self._callbacks.get(name):
                    guarded(callback, name, _decode(payload))
            else:
                name = name.removeprefix(CHANGES)
                change = _decode_change(payload)
                for watcher in list(self._watchers.get(name, ())):
                    guarded(watcher, name, change)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            logger.warning("A message on %s is none of ours: %r", channel, error)


def _script(script: str, channel: str, *arguments: str | int) -> Command:
    return ("EVAL", script, 3, LEASES + channel, SAID + channel, CHANGES + channel, *arguments)


def _encode(message: WireMessage) -> bytes:
    fields = {
        "id": message.id,
        "name": message.name,
        "data": message.data,
        "timestamp": message.timestamp,
        "clientId": message.client_id,
        "headers": dict(message.headers),
    }
    return compact(fields).encode()


def _decode(payload: bytes) -> WireMessage:
    fields = json.loads(payload)
    return WireMessage(
        fields["id"], fields["name"], fields["data"], fields["timestamp"], fields["clientId"], fields["headers"]
    )


def _decode_change(payload: bytes) -> PresenceChange:
    fields = json.loads(payload)
    return PresenceChange(PresenceAction[fields["action"]], PresenceMember(fields["client"], fields["data"]))
