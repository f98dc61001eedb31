"""One connection to Ably with the channels that are attached over it.

Another client in the place of a broken one attaches all of them anew, and what was missed is read from the history.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from ably import AblyRealtime
from ably.types.channelstate import ChannelState
from ably.types.connectionstate import ConnectionState
from ably.types.message import Message

from realtime_ui.core.clock import Clock
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_channels import Attachment, require_attached
from realtime_ui.providers.ably_errors import translate
from realtime_ui.providers.ably_link import Link
from realtime_ui.providers.meter import Meter
from realtime_ui.providers.pace import Pace

logger = logging.getLogger(__name__)

HISTORY_PAGE = 200
AT_ONCE = 20
"""How many channels are attached, or their histories read, at the same time."""
SETTLE_S = 0.1
BURST_S = 0.2
"""What may go out at once is what may go out within that long, in s."""


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
        self.waiting = 0
        """Messages whose turn has not come."""
        self.heard, self.sent = Meter(clock), Meter(clock)
        self.attachments: dict[str, Attachment] = {}
        self.link = Link(account, client_id, timings, clock, self._on_link)
        self._account = account
        self._timings = timings
        self._clock = clock
        self._pace = Pace(rate, clock, burst=rate * BURST_S)
        self._changed = changed
        self._lost = lost
        self._mending = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def is_connected(self) -> bool:
        """Whether a publish would go out now."""
        return self.link.status is ConnectionStatus.CONNECTED

    @property
    def load(self) -> float:
        """Messages a second, of late, of the direction that has more; those that wait count too."""
        return max(self.heard.rate, self.sent.rate + self.waiting)

    def start(self) -> None:
        """Begin to connect."""
        self.link.start()
        self.link.run(self._mend())

    async def stop(self) -> None:
        """Close the connection; its channels and what it was present on are left."""
        await self.link.stop()
        self.attachments.clear()

    async def use(self, name: str, want: Callable[[Attachment], None]) -> None:
        """Attach a channel for what `want` sets on it; a channel that cannot be attached is forgotten.

        Raises:
            Exception: any of the SDK's.
        """
        client = self.link.require()
        attachment = self.attachments.get(name)
        if attachment is not None:
            if attachment.error is not None:
                raise attachment.error.with_traceback(None)
            want(attachment)
            if not attachment.was_attached:
                channel = client.channels.get(name)
                await channel.attach()
                require_attached(channel)
            return
        attachment = self.attachments[name] = Attachment(name, self._on_channel, self.heard)
        want(attachment)
        try:
            async with self._turns:
                await attachment.attach(client.channels.get(name))
        except BaseException:
            self._forget(attachment)
            self.link.run(self._detach(client, name))
            raise

    async def release(self, name: str) -> None:
        """Detach a channel if nobody uses it any more."""
        attachment, client = self.attachments.get(name), self.link.client
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
        client = self.link.require()
        channel = client.channels.get(name)
        refused = self.attachments[name].error if name in self.attachments else None
        if refused is not None and channel.state == ChannelState.FAILED:
            raise refused.with_traceback(None)
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
            # The SDK hears the answer to a detach on channels alone that it has.
            if name not in self.attachments and channel.state not in (ChannelState.ATTACHING, ChannelState.DETACHING):
                client.channels.release(name)

    def presence(self, name: str) -> Any:
        """The SDK's presence of an attached channel.

        Raises:
            RealtimeError: not connected.
        """
        return self.link.require().channels.get(name).presence

    async def _acknowledged(self, publishing: Coroutine[Any, Any, object]) -> None:
        """The SDK waits for an answer without end."""
        async with asyncio.timeout(self._timings.answer):
            await publishing

    def _on_link(self) -> None:
        if self.is_connected:
            self._mending.set()
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
            if self.is_connected:
                try:
                    await self._mend_once()
                except Exception:
                    logger.exception("Looking after the channels failed; it is tried again")

    async def _mend_once(self) -> None:
        await asyncio.gather(*(self._reattach(each) for each in list(self.attachments.values())))
        if any(each.lost for each in self.attachments.values()):
            await self._clock.sleep(SETTLE_S)  # many channels lose at once, and that is told once
            for attachment in self.attachments.values():
                attachment.lost = False
            self._lost()
        await asyncio.gather(*(self._recover(each) for each in list(self.attachments.values())))

    def _is_due(self, attachment: Attachment) -> bool:
        """Whether what was refused may be tried again."""
        refused = attachment.error is not None
        return not refused or self._clock.monotonic() >= attachment.refused_at + self._timings.refused

    async def _reattach(self, attachment: Attachment) -> None:
        client = self.link.client
        if client is None or not attachment.was_attached or not self._is_due(attachment):
            return  # the first time it is attached by whoever wants it
        channel = client.channels.get(attachment.name)
        # A channel of the client before this one is unknown to it.
        if channel.state not in (ChannelState.INITIALIZED, ChannelState.DETACHED, ChannelState.FAILED):
            return
        with contextlib.suppress(Exception):  # the channel's state has told; it is tried again
            async with self._turns, asyncio.timeout(self._timings.answer):
                await attachment.attach(channel)

    async def _recover(self, attachment: Attachment) -> None:
        """Read what may be missing: no log has what foreign clients published."""
        if attachment.gap is None or attachment.lost or not self._is_due(attachment):
            return
        channel = self._account.rest.channels.get(attachment.name)
        try:
            async with self._turns:
                async with asyncio.timeout(self._timings.answer):
                    page = await channel.history(direction="forwards", start=attachment.gap, limit=HISTORY_PAGE)
                attachment.take(*page.items)
                while page.has_next():
                    async with asyncio.timeout(self._timings.answer):
                        page = await page.next()
                    attachment.take(*page.items)
                if attachment.watchers:
                    async with asyncio.timeout(self._timings.answer):
                        members = await channel.presence.get(limit=1000)
                    attachment.correct(members.items)
        except Exception as error:
            attachment.error = translate(error, f"Reading the history of {attachment.name}")
            attachment.refused_at = self._clock.monotonic()
        else:
            attachment.error = None
            if not attachment.lost:  # again, while it was read
                attachment.gap = None
        finally:
            self._account.rest.channels.release(attachment.name)
        self._changed()

    def _forget(self, attachment: Attachment) -> None:
        if self.attachments.get(attachment.name) is attachment:
            del self.attachments[attachment.name]
        self._changed()
