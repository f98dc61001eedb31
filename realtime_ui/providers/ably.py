"""Ably as the wire: the official SDK, over as many connections as the account's limits ask for."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping

from realtime_ui.core.clock import Clock, SystemClock
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RateLimited, RealtimeError, TooLarge
from realtime_ui.core.messages import Json
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_channels import Attachment
from realtime_ui.providers.ably_errors import translate
from realtime_ui.providers.ably_messages import MAX_MESSAGE_BYTES, from_presence, presence_data, to_ably
from realtime_ui.providers.ably_shards import Shards
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
        self._account: Account | None = None
        self._shards: Shards | None = None
        self._refused: dict[str, tuple[float, RealtimeError]] = {}

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
        if self._shards is None:
            self._account = Account(self._key, self._endpoint, self._tls, self._timings)
            self._shards = Shards(
                self._account,
                client_id,
                self._most_channels,
                self._rate,
                self._timings,
                self._clock,
                changed=self._look,
                lost=self._tell_loss,
            )
            self._look()
        async with _answered("Connecting"):
            await self._shards.ready()

    async def disconnect(self) -> None:
        """Leave every channel and end the connections."""
        shards, self._shards = self._shards, None
        account, self._account = self._account, None
        if shards is not None:
            await shards.stop()
        if account is not None:
            await account.close()
        self._refused.clear()
        self._become(ConnectionStatus.CLOSED)

    async def subscribe(self, channel: str, callback: MessageCallback) -> None:
        """Attach to a channel."""

        def want(attachment: Attachment) -> None:
            attachment.callback = callback

        async with _answered(f"Subscribing to {channel}"):
            await self._connected().use(channel, want)

    async def unsubscribe(self, channel: str) -> None:
        """Detach from a channel."""
        if self._shards is not None and (attachment := self._shards.attachment(channel)) is not None:
            attachment.callback = None
            await self._shards.release(channel)

    async def publish(self, channel: str, *messages: WireMessage) -> None:
        """Send messages."""
        ready = [to_ably(message) for message in messages]
        try:
            await self._connected().sender(channel).publish(channel, ready)
        except Exception as error:
            found = translate(error, f"Publishing on {channel}")
            if isinstance(found, ProviderRefused | RateLimited | TooLarge) and self.is_connected:
                self._refused[channel] = (self._clock.monotonic(), found)
                self._look()
            raise found from found.__cause__
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
        shards = self._shards
        attachment = shards.attachment(channel) if shards is not None else None
        if shards is None or attachment is None or not attachment.entered:
            return
        async with _answered(f"Leaving {channel}"):
            await shards.sender(channel).presence(channel).leave()
        attachment.entered = False
        await shards.release(channel)

    async def presence_get(self, channel: str) -> list[PresenceMember]:
        """Who is on a channel, by client id, as the service knows it now."""
        channels = self._require_account().rest.channels
        async with _answered(f"Asking who is on {channel}"):
            try:
                page = await channels.get(channel).presence.get(limit=1000)
            finally:
                channels.release(channel)
        members = {each.client_id: PresenceMember(each.client_id, from_presence(each.data)) for each in page.items}
        return [members[name] for name in sorted(members)]

    async def presence_subscribe(self, channel: str, callback: PresenceCallback) -> Unsubscribe:
        """Hear of every change on a channel."""
        shards = self._connected()
        async with _answered(f"Subscribing to who is on {channel}"):
            await shards.use(channel, lambda attachment: attachment.watchers.append(callback))

        def stop() -> None:
            attachment = shards.attachment(channel)
            if attachment is not None and callback in attachment.watchers:
                attachment.watchers.remove(callback)
                shards.run(shards.release(channel))

        return stop

    async def grant(self, grant: Grant, asked: Mapping[str, str]) -> Json:
        """A TokenRequest for Ably's clients (`authUrl`, `authCallback`); the key's secret stays here."""
        return await self._require_account().sign(grant)

    async def _say(self, channel: str, data: Json) -> None:
        """Enter or update: Ably tells one from the other by whether we are present."""
        saying = presence_data(data)

        def want(attachment: Attachment) -> None:
            attachment.saying = saying

        shards = self._connected()
        try:
            async with _answered(f"Entering {channel}"):
                shard = await shards.use(channel, want)
                await shard.presence(channel).update(saying)
                shard.attachments[channel].entered = True
        finally:
            await shards.release(channel)  # where it failed, and nobody else uses the channel

    def _look(self) -> None:
        """Take on the status of all connections; a refused publish is told of until it would be tried again."""
        if self._shards is None:
            return
        now = self._clock.monotonic()
        for channel in [name for name, (since, _) in self._refused.items() if now >= since + self._timings.refused]:
            del self._refused[channel]
        status, error = self._shards.state()
        self._become(status, error or next((refused for _, refused in self._refused.values()), None))

    def _connected(self) -> Shards:
        if self._shards is None:
            raise _not_connected()
        return self._shards

    def _require_account(self) -> Account:
        if self._account is None:
            raise _not_connected()
        return self._account


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
