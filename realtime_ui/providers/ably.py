"""Ably as the wire: the official SDK, over as many connections as the account's limits ask for."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from typing import Any

from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RealtimeError
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_channels import Attachment
from realtime_ui.providers.ably_errors import translate
from realtime_ui.providers.ably_messages import MAX_MESSAGE_BYTES, from_presence, presence_data, to_ably
from realtime_ui.providers.ably_shard import Shard
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
)
from realtime_ui.settings import Settings

_KEY = re.compile(r"[\w-]+\.[\w-]+:[\w-]+")
_ENDPOINT = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5}/?)?")
_WORST_FIRST = (
    ConnectionStatus.FAILED,
    ConnectionStatus.SUSPENDED,
    ConnectionStatus.DISCONNECTED,
    ConnectionStatus.CONNECTING,
)
ROOM = 0.5
"""A connection that carries less of its rate than this takes another channel."""
FULL = 0.8
"""One that carries more than this gives a channel away."""
TEND_S = 2.0
IDLE_S = 30.0
"""A connection that nobody uses is closed after that long, in s."""


class AblyProvider(RealtimeProvider):
    """A client of Ably.

    Args:
        key: `APP.KEY:SECRET`.
        endpoint: another server than Ably's own, `HOST` or `HOST:PORT/`; "" for Ably's.
        tls: whether it is reached over TLS.
        connection_channels: how many channels one connection may attach to.
        connection_rate: how many messages a second one connection may send, and get.
        timings: how long things take.
        clock: tells the time.
    """

    name = "ably"
    capabilities = Capability.PRESENCE | Capability.FOREIGN_CLIENTS | Capability.MESSAGE_IDS
    max_message_bytes = MAX_MESSAGE_BYTES

    def __init__(
        self,
        key: str,
        *,
        endpoint: str = "",
        tls: bool = True,
        connection_channels: int = 200,
        connection_rate: float = 50,
        timings: Timings | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._key, self._endpoint, self._tls = key, endpoint, tls
        self._most_channels, self._rate = connection_channels, connection_rate
        self._timings = timings or Timings()
        self._clock = clock or SystemClock()
        self._client_id = ""
        self._account: Account | None = None
        self._shards: list[Shard] = []
        self._homes: dict[str, Shard] = {}
        self._refused: dict[str, tuple[float, ProviderRefused]] = {}
        self._idle_since: dict[Shard, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opening = asyncio.Lock()

    @classmethod
    def from_settings(cls, settings: Settings) -> "AblyProvider":
        """A provider as the settings say.

        Raises:
            ValueError: the key or the endpoint is missing or malformed.
        """
        if not _KEY.fullmatch(settings.ably_api_key):
            raise ValueError("ABLY_API_KEY is missing or not of the form APP.KEY:SECRET; the Ably dashboard shows it.")
        endpoint = settings.ably_endpoint
        if endpoint and not _ENDPOINT.fullmatch(endpoint):
            raise ValueError(f"ABLY_ENDPOINT is {endpoint!r}, which is neither HOST nor HOST:PORT/.")
        return cls(
            settings.ably_api_key,
            # The SDK takes a port for its two halves in different ways; only with the slash both find the server.
            endpoint=f"{endpoint}/" if ":" in endpoint and not endpoint.endswith("/") else endpoint,
            tls=settings.ably_tls,
            connection_channels=settings.ably_connection_channels,
            connection_rate=settings.ably_connection_rate,
        )

    async def connect(self, client_id: str) -> None:
        """Connect as `client_id`."""
        if self._account is None:
            self._client_id = client_id
            self._account = Account(self._key, self._endpoint, self._tls, self._timings)
            self._open()
            self._run(self._tend())
            self._look()
        async with _answered("Connecting"):
            await self._shards[0].ready()

    async def disconnect(self) -> None:
        """Leave every channel and end the connections."""
        tasks, self._tasks = list(self._tasks), set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        shards, self._shards = self._shards, []
        await asyncio.gather(*(shard.stop() for shard in shards))
        self._homes.clear()
        self._refused.clear()
        self._idle_since.clear()
        account, self._account = self._account, None
        if account is not None:
            await account.close()
        self._become(ConnectionStatus.CLOSED)

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""

        def want(attachment: Attachment) -> None:
            attachment.callback = callback

        async with _answered(f"Subscribing to {channel}"):
            shard = await self._home(channel)
            await shard.use(channel, want)

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        if (attachment := self._attachment(channel)) is not None:
            attachment.callback = None
            await self._release(channel)

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages, over the connection that the channel is attached to, or else the one with most room."""
        ready = [to_ably(message) for message in messages]
        try:
            await self._sender(channel).publish(channel, ready)
        except Exception as error:
            found = translate(error, f"Publishing on {channel}")
            if isinstance(found, ProviderRefused) and self.is_connected:
                self._refused[channel] = (self._clock.monotonic(), found)
                self._look()
            if found is error:
                raise
            raise found from error
        if self._refused.pop(channel, None) is not None:
            self._look()

    async def presence_enter(self, channel: str, data: Json = None) -> None:
        """Be present on a channel."""
        await self._say(channel, data)

    async def presence_update(self, channel: str, data: Json) -> None:
        """Say something else about oneself."""
        await self._say(channel, data)

    async def presence_leave(self, channel: str) -> None:
        """Be gone from a channel."""
        attachment = self._attachment(channel)
        if attachment is None or not attachment.entered:
            return
        attachment.entered = False
        async with _answered(f"Leaving {channel}"):
            await self._homes[channel].presence(channel).leave()
        await self._release(channel)

    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Who is on a channel, by client id, as the service knows it now."""
        async with _answered(f"Asking who is on {channel}"):
            found = self._require_account().rest.channels.get(channel)
            try:
                page = await found.presence.get(limit=1000)
            finally:
                self._require_account().rest.channels.release(channel)
        members = {each.client_id: PresenceMember(each.client_id, from_presence(each.data)) for each in page.items}
        return [members[name] for name in sorted(members)]

    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Hear of every change on a channel."""
        async with _answered(f"Subscribing to who is on {channel}"):
            shard = await self._home(channel)
            await shard.use(channel, lambda attachment: attachment.watchers.append(callback))

        def stop() -> None:
            attachment = self._attachment(channel)
            if attachment is not None and callback in attachment.watchers:
                attachment.watchers.remove(callback)
                self._run(self._release(channel))

        return stop

    async def grant(self, grant: Grant, asked: Mapping[str, str]) -> Json:
        """A TokenRequest for Ably's clients (`authUrl`, `authCallback`); the key's secret stays here."""
        return await self._require_account().sign(grant)

    async def _say(self, channel: str, data: Json) -> None:
        """Enter or update: Ably tells one from the other by whether we are present."""
        saying = presence_data(data)
        async with _answered(f"Entering {channel}"):
            shard = await self._home(channel)
            await shard.use(channel, lambda attachment: None)
            await shard.presence(channel).update(saying)
        if (attachment := self._attachment(channel)) is not None:
            attachment.entered, attachment.saying = True, saying

    def _attachment(self, channel: str) -> Attachment | None:
        shard = self._homes.get(channel)
        return shard.attachments.get(channel) if shard is not None else None

    async def _release(self, channel: str) -> None:
        """Let a channel go that nobody uses."""
        attachment = self._attachment(channel)
        if attachment is not None and not attachment.is_wanted:
            await self._homes.pop(channel).release(channel)

    def _sender(self, channel: str) -> Shard:
        """The connection to publish on a channel over: one call at a time goes out there, so order holds."""
        if (home := self._homes.get(channel)) is not None:
            return home
        connected = [shard for shard in self._shards if shard.is_connected]
        if not connected:
            raise self._error or _not_connected()
        best = min(connected, key=lambda shard: shard.load)
        if best.waiting > self._rate and not self._opening.locked():
            self._run(self._widen())
        return best

    async def _home(self, channel: str) -> Shard:
        """The connection that a channel is attached to, or is to be."""
        if self._account is None:
            raise _not_connected()
        if (home := self._homes.get(channel)) is not None and channel in home.attachments:
            return home
        shard = self._roomy()
        if shard is None:
            async with self._opening:
                shard = self._roomy() or await self._opened()
        self._homes[channel] = shard
        return shard

    def _roomy(self, *, but: Shard | None = None) -> Shard | None:
        """The connection with most room, if there is any with enough; any at all while they are not connected."""
        with_room = [
            shard
            for shard in self._shards
            if shard is not but and len(shard.attachments) < self._most_channels and shard.load < ROOM * self._rate
        ]
        return min(with_room, key=lambda shard: shard.load, default=None)

    async def _opened(self) -> Shard:
        """Another connection, connected."""
        shard = self._open()
        try:
            await shard.ready()
        except BaseException:
            self._shards.remove(shard)
            await shard.stop()
            raise
        return shard

    def _open(self) -> Shard:
        shard = Shard(
            self._require_account(),
            self._client_id,
            self._rate,
            self._timings,
            self._clock,
            changed=self._look,
            lost=self._tell_loss,
        )
        self._shards.append(shard)
        shard.start()
        return shard

    async def _widen(self) -> None:
        """Open another connection, since all have more to send than they may."""
        async with self._opening:
            with contextlib.suppress(RealtimeError, TimeoutError):  # those that there are go on
                async with asyncio.timeout(PATIENCE_S):
                    await self._opened()

    async def _tend(self) -> None:
        """Close connections that nobody uses, and give channels away from those that carry too much."""
        while True:
            await self._clock.sleep(TEND_S)
            now = self._clock.monotonic()
            self._refused = {
                name: (since, error)
                for name, (since, error) in self._refused.items()
                if now < since + self._timings.refused
            }
            self._look()
            for shard in self._shards[1:]:
                if shard.attachments or shard.load > 1:
                    self._idle_since.pop(shard, None)
                elif now > self._idle_since.setdefault(shard, now) + IDLE_S:
                    del self._idle_since[shard]
                    self._shards.remove(shard)
                    await shard.stop()
            for shard in list(self._shards):
                if shard.is_connected and shard.heard.rate > FULL * self._rate:
                    await self._relieve(shard)

    async def _relieve(self, shard: Shard) -> None:
        """Move the busiest channel to another connection; what comes over both for a moment has the same ids."""
        movable = [each for each in shard.attachments.values() if not each.entered and not each.watchers]
        if len(shard.attachments) < 2 or not movable:
            return
        busiest = max(movable, key=lambda each: each.load.rate)
        with contextlib.suppress(Exception):  # it stays where it is
            async with asyncio.timeout(PATIENCE_S), self._opening:
                other = self._roomy(but=shard) or await self._opened()
                callback = busiest.callback

                def want(attachment: Attachment) -> None:
                    attachment.callback = callback

                await other.use(busiest.name, want)
                self._homes[busiest.name] = other
                busiest.callback = None
                await shard.release(busiest.name)

    def _look(self) -> None:
        """Take on the worst status of all connections, and tell what is wrong with them or with a channel."""
        counted = [shard for shard in self._shards[:1] + self._shards[1:] if shard.was_connected] or self._shards
        if not counted:
            return
        for status in _WORST_FIRST:
            for shard in counted:
                if shard.status is status:
                    self._become(status, shard.error)
                    return
        self._become(ConnectionStatus.CONNECTED, next(self._complaints(), None))

    def _complaints(self) -> Iterator[RealtimeError]:
        for shard in self._shards:
            yield from (each.error for each in shard.attachments.values() if each.error is not None)
        yield from (error for _, error in self._refused.values())

    def _require_account(self) -> Account:
        if self._account is None:
            raise _not_connected()
        return self._account

    def _run(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@contextlib.asynccontextmanager
async def _answered(doing: str) -> AsyncIterator[None]:
    """Wait for Ably no longer than a provider may; whatever goes wrong is told in our words."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield
    except RealtimeError:
        raise
    except Exception as error:
        raise translate(error, doing) from error


def _not_connected() -> ProviderUnavailable:
    return ProviderUnavailable("Ably is not connected.", remedy="Call connect() first.")
