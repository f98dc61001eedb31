"""One connection to Ably that is kept alive, with the channels that are attached over it.

The SDK resumes a connection that broke, and then nothing is lost. What it cannot get out of (a refused key, a
connection that is dead and says it is connected, two minutes without a service) ends here in one way: that
client is closed, another one takes its place, attaches all channels and reads what was missed from the history.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from ably import AblyRealtime
from ably.types.channelstate import ChannelState
from ably.types.connectionstate import ConnectionState, ConnectionStateChange
from ably.types.message import Message

from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import ProviderRefused, ProviderUnavailable, RealtimeError
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_channels import Attachment
from realtime_ui.providers.ably_errors import TOKEN_ERRORS, code_of, translate
from realtime_ui.providers.meter import Meter
from realtime_ui.providers.pace import Pace

HISTORY_PAGE, HISTORY_PAGES = 200, 5
ATTACHING = 20
"""How many channels are attached at the same time."""
CLOSE_S = 1.0
SETTLE_S = 0.1
BURST_S = 0.2
"""What may go out at once is what may go out within that long, in s."""

_STATUS = {
    ConnectionState.INITIALIZED: ConnectionStatus.CONNECTING,
    ConnectionState.CONNECTING: ConnectionStatus.CONNECTING,
    ConnectionState.CONNECTED: ConnectionStatus.CONNECTED,
    ConnectionState.DISCONNECTED: ConnectionStatus.DISCONNECTED,
    ConnectionState.SUSPENDED: ConnectionStatus.SUSPENDED,
    ConnectionState.FAILED: ConnectionStatus.FAILED,
}


class Shard:
    """A connection; `start` and `stop` own all it runs.

    Args:
        account: makes the SDK's clients.
        client_id: who we are.
        rate: how many messages a second may go out.
        timings: how long things take.
        clock: tells the time.
        changed: told when status or error may be others.
        lost: told when messages may have been lost.
    """

    def __init__(
        self,
        account: Account,
        client_id: str,
        rate: float,
        timings: Timings,
        clock: Clock,
        *,
        changed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self.status = ConnectionStatus.CONNECTING
        self.error: RealtimeError | None = None
        self.was_connected = False
        self.waiting = 0
        """Messages whose turn has not come."""
        self.heard, self.sent = Meter(clock), Meter(clock)
        self.attachments: dict[str, Attachment] = {}
        self._account = account
        self._client_id = client_id
        self._timings = timings
        self._clock = clock
        self._pace = Pace(rate, clock, burst=rate * BURST_S)
        self._changed = changed
        self._lost = lost
        self._client: AblyRealtime | None = None
        self._broken = asyncio.Event()
        self._settled = asyncio.Event()
        self._mending = asyncio.Event()
        self._attaching = asyncio.Semaphore(ATTACHING)
        self._token_errors = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_connected(self) -> bool:
        """Whether a publish would go out now."""
        return self.status is ConnectionStatus.CONNECTED

    @property
    def load(self) -> float:
        """Messages a second, of late, of the direction that has more; those that wait count too."""
        return max(self.heard.rate, self.sent.rate + self.waiting)

    def start(self) -> None:
        """Begin to connect."""
        self._run(self._live())
        self._run(self._mend())

    async def stop(self) -> None:
        """Close the connection; its channels and what it was present on are left."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.attachments.clear()

    async def ready(self) -> None:
        """Wait until connected.

        Raises:
            RealtimeError: why the first try failed; it goes on trying.
        """
        await self._settled.wait()
        if self.error is not None:
            raise self.error

    async def use(self, name: str, want: Callable[[Attachment], None]) -> None:
        """Attach a channel for what `want` sets on it; a channel that cannot be attached is forgotten.

        Raises:
            Exception: any of the SDK's.
        """
        client = self._require_client()
        attachment = self.attachments.get(name)
        if attachment is not None:
            if attachment.error is not None:
                raise attachment.error
            want(attachment)
            await client.channels.get(name).attach()
            return
        attachment = self.attachments[name] = Attachment(name, self._on_channel, self.heard)
        want(attachment)
        try:
            async with self._attaching:
                await attachment.attach(client.channels.get(name))
        except BaseException:
            self._forget(attachment)
            self._run(self._detach(client, name))
            raise

    async def release(self, name: str) -> None:
        """Detach a channel if nobody uses it any more."""
        attachment, client = self.attachments.get(name), self._client
        if attachment is not None and not attachment.is_wanted:
            self._forget(attachment)
            if client is not None:
                await self._detach(client, name)

    async def _detach(self, client: AblyRealtime, name: str) -> None:
        """What cannot be detached is released all the same; without a connection there is nothing to detach from."""
        if client.connection.state == ConnectionState.CONNECTED:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(self._timings.answer):
                    await client.channels.get(name).detach()
        if name not in self.attachments:
            client.channels.release(name)

    async def publish(self, name: str, messages: list[Message]) -> None:
        """Send messages in their order, each when its turn comes, and wait until Ably has all.

        Each goes by itself, under its own id: a batch would take ids of Ably's form, and be sent twice
        when it is cut otherwise the next time.

        Raises:
            Exception: the first one of the SDK's.
        """
        client = self._require_client()
        channel = client.channels.get(name)
        sending: list[asyncio.Task[None]] = []
        self.waiting += len(messages)
        left = len(messages)
        try:
            for message in messages:
                await self._pace.take()
                self.waiting, left = self.waiting - 1, left - 1
                self.sent.count()
                sending.append(asyncio.create_task(self._acknowledged(channel.publish(message))))
                if any(task.done() and task.exception() for task in sending):
                    break
            await asyncio.gather(*sending)
        finally:
            self.waiting -= left
            for task in sending:
                task.cancel()
            await asyncio.gather(*sending, return_exceptions=True)
            if name not in self.attachments:
                client.channels.release(name)

    def presence(self, name: str) -> Any:
        """The SDK's presence of an attached channel.

        Raises:
            RealtimeError: not connected.
        """
        return self._require_client().channels.get(name).presence

    async def _acknowledged(self, publishing: Coroutine[Any, Any, object]) -> None:
        """The SDK waits for an answer without end."""
        async with asyncio.timeout(self._timings.answer):
            await publishing

    def _require_client(self) -> AblyRealtime:
        if self._client is None or not self.is_connected:
            raise self.error or ProviderUnavailable("Ably is not connected.", remedy="It is tried again all the time.")
        return self._client

    async def _live(self) -> None:
        """Keep a client, and put another in its place when it is broken."""
        while True:
            self._broken.clear()
            self._token_errors = 0
            client = self._client = self._account.realtime(self._client_id)
            client.connection.on(lambda change, client=client: self._on_connection(client, change))
            try:
                client.connect()
                await self._watch(client)
            finally:
                self._client = None
                await _close(client)
            refused = isinstance(self.error, ProviderRefused)
            await self._clock.sleep(self._timings.refused if refused else self._timings.retry)

    async def _watch(self, client: AblyRealtime) -> None:
        """Return when the client is broken; what says that it is connected is asked now and then."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), self._timings.ping)
                return
            if client.connection.state != ConnectionState.CONNECTED:
                continue
            try:
                await client.connection.ping()
            except Exception as error:
                if client.connection.state == ConnectionState.CONNECTED:
                    self._become(ConnectionStatus.DISCONNECTED, translate(error, "A look whether the connection lives"))
                    return

    def _on_connection(self, client: AblyRealtime, change: ConnectionStateChange) -> None:
        if client is not self._client or change.current not in _STATUS:
            return
        status = _STATUS[change.current]
        if status is ConnectionStatus.CONNECTED:
            self._token_errors = 0
            self.was_connected = True
            self._become(status, None)
            self._mending.set()
            return
        if status is ConnectionStatus.CONNECTING:
            return  # one of many tries: it is disconnected until one succeeds
        error = self._account.token_error or translate(change.reason, "Connecting")
        if status is ConnectionStatus.DISCONNECTED:
            self._count_token_error(client, change)
        if isinstance(error, ProviderRefused):
            status = ConnectionStatus.FAILED
        elif status is ConnectionStatus.FAILED:
            status = ConnectionStatus.DISCONNECTED  # it is tried again soon
        if isinstance(error, ProviderRefused) or change.current in (ConnectionState.FAILED, ConnectionState.SUSPENDED):
            self._broken.set()
        self._become(status, error)

    def _count_token_error(self, client: AblyRealtime, change: ConnectionStateChange) -> None:
        """The SDK asks for another token at the first error only; from the second on it shows the old one again."""
        if code_of(change.reason) in TOKEN_ERRORS:
            self._token_errors += 1
            if self._token_errors > 1:
                self._run(self._authorize(client))

    async def _authorize(self, client: AblyRealtime) -> None:
        with contextlib.suppress(Exception):  # the connection's state tells
            async with asyncio.timeout(self._timings.answer):
                await client.auth.authorize()

    def _become(self, status: ConnectionStatus, error: RealtimeError | None) -> None:
        self.status, self.error = status, error
        if status is ConnectionStatus.CONNECTED or error is not None:
            self._settled.set()
        self._changed()

    def _on_channel(self, attachment: Attachment) -> None:
        if attachment.error is not None:
            attachment.refused_at = self._clock.monotonic()
        if attachment.lost:
            self._mending.set()
        self._changed()

    async def _mend(self) -> None:
        """Attach what a new client has not attached, look for what was lost, try again what was refused."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._mending.wait(), self._timings.retry)
            self._mending.clear()
            if not self.is_connected:
                continue
            await asyncio.gather(*(self._reattach(each) for each in list(self.attachments.values())))
            if any(each.lost for each in self.attachments.values()):
                await self._clock.sleep(SETTLE_S)  # many channels lose at once, and that is told once
                for attachment in self.attachments.values():
                    attachment.missing, attachment.lost = attachment.missing or attachment.lost, False
                self._lost()
            for attachment in list(self.attachments.values()):
                await self._recover(attachment)

    def _is_due(self, attachment: Attachment) -> bool:
        """Whether what was refused may be tried again."""
        refused = attachment.error is not None
        return not refused or self._clock.monotonic() >= attachment.refused_at + self._timings.refused

    async def _reattach(self, attachment: Attachment) -> None:
        client = self._client
        if client is None or not self._is_due(attachment):
            return
        channel = client.channels.get(attachment.name)
        # A channel of the client before this one is unknown to it.
        if channel.state not in (ChannelState.INITIALIZED, ChannelState.DETACHED, ChannelState.FAILED):
            return
        with contextlib.suppress(Exception):  # the channel's state has told; it is tried again
            async with self._attaching, asyncio.timeout(self._timings.answer):
                await attachment.attach(channel)

    async def _recover(self, attachment: Attachment) -> None:
        """Read what may be missing: no log has what foreign clients published."""
        if not attachment.missing or not self._is_due(attachment):
            return
        channel = self._account.rest.channels.get(attachment.name)
        try:
            async with asyncio.timeout(self._timings.answer * 2):
                page = await channel.history(direction="forwards", start=attachment.since, limit=HISTORY_PAGE)
                attachment.take(*page.items)
                for _ in range(HISTORY_PAGES - 1):
                    if not page.has_next():
                        break
                    page = await page.next()
                    attachment.take(*page.items)
                if attachment.watchers:
                    attachment.correct((await channel.presence.get(limit=1000)).items)
        except Exception as error:
            attachment.error = translate(error, f"Reading the history of {attachment.name}")
            attachment.refused_at = self._clock.monotonic()
        else:
            attachment.missing, attachment.error = False, None
        finally:
            self._account.rest.channels.release(attachment.name)
        self._changed()

    def _forget(self, attachment: Attachment) -> None:
        if self.attachments.get(attachment.name) is attachment:
            del self.attachments[attachment.name]
        self._changed()

    def _run(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _close(client: AblyRealtime) -> None:
    """Close a client, whatever state it is in; a server that does not answer is hung up on."""
    for _ in range(2):
        try:
            async with asyncio.timeout(CLOSE_S):
                await client.close()
                return
        except Exception:
            transport = client.connection.connection_manager.transport
            if transport is not None and transport.websocket is not None:
                transport.websocket.transport.abort()
    await client.http.close()
