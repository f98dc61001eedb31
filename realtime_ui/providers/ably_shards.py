"""As many connections to Ably as its limits ask for: which channel goes over which, and when one more is opened.

A channel is attached to one connection and published over the same, so its order holds. A connection takes channels
until it has as many as it may or carries half its rate; one that carries too much gives its busiest channel away.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import ProviderUnavailable, RealtimeError
from realtime_ui.core.status import ConnectionStatus
from realtime_ui.providers.ably_account import Account, Timings
from realtime_ui.providers.ably_channels import Attachment
from realtime_ui.providers.ably_shard import Shard
from realtime_ui.providers.base import PATIENCE_S, end

logger = logging.getLogger(__name__)

ROOM = 0.5
"""A connection that carries less of its rate than this takes another channel."""
FULL = 0.8
"""One that hears more than this gives a channel away."""
TEND_S = 2.0
IDLE_S = 30.0
"""A connection that nobody uses is closed after that long, in s; the first one stays."""

_WORST_FIRST = (
    ConnectionStatus.FAILED,
    ConnectionStatus.SUSPENDED,
    ConnectionStatus.DISCONNECTED,
    ConnectionStatus.CONNECTING,
)


class Shards:
    """All connections of one client; `stop` ends them.

    Args:
        account: makes the SDK's clients.
        client_id: who we are.
        channels: how many channels one connection may attach to.
        rate: how many messages a second one connection may send, and get.
        timings: how long things take.
        clock: tells the time.
        changed: told when `state` may be another, and now and then.
        lost: told when messages may have been lost.
    """

    def __init__(
        self,
        account: Account,
        client_id: str,
        channels: int,
        rate: float,
        timings: Timings,
        clock: Clock,
        *,
        changed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        self._channels, self._rate, self._clock, self._changed = channels, rate, clock, changed
        self._make = partial(Shard, account, client_id, rate, timings, clock, changed=changed, lost=lost)
        self._shards: list[Shard] = []
        self._homes: dict[str, Shard] = {}
        self._idle_since: dict[Shard, float] = {}
        self._opening = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open()
        self.run(self._tend())

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._shards)

    async def ready(self) -> None:
        """Wait until connected.

        Raises:
            RealtimeError: why the first try failed; it goes on trying.
        """
        await self._shards[0].link.ready()

    async def stop(self) -> None:
        """Close every connection."""
        await end(self._tasks)
        shards, self._shards = self._shards, []
        await asyncio.gather(*(shard.stop() for shard in shards))
        self._homes.clear()

    def run(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do something besides, until it is done or `stop`."""
        task = asyncio.create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def state(self) -> tuple[ConnectionStatus, RealtimeError | None]:
        """The worst status of all connections, with what is wrong with it, or else with a channel."""
        # One that was never connected is not missed yet, where another one is.
        counted = [shard for shard in self._shards if shard.link.was_connected] or self._shards
        for status in _WORST_FIRST:
            for shard in counted:
                if shard.link.status is status:
                    return status, shard.link.error
        return ConnectionStatus.CONNECTED, next(self._complaints(), None)

    def attachment(self, channel: str) -> Attachment | None:
        """What is known of a channel that is attached, or to be."""
        shard = self._homes.get(channel)
        return shard.attachments.get(channel) if shard is not None else None

    async def use(self, channel: str, want: Callable[[Attachment], None]) -> Shard:
        """Attach a channel for what `want` sets on it; gives the connection.

        Raises:
            Exception: any of the SDK's; the channel is not attached then, unless somebody else uses it.
        """
        shard = self._homes.get(channel) or self._roomy()
        if shard is None:
            async with self._opening:
                shard = self._roomy() or await self._opened()
        self._homes[channel] = shard
        try:
            await shard.use(channel, want)
        finally:
            if channel not in shard.attachments and self._homes.get(channel) is shard:
                del self._homes[channel]
        return shard

    def sender(self, channel: str) -> Shard:
        """The connection to publish on a channel over; where it is not attached, the one with most room.

        Raises:
            ProviderUnavailable: none is connected.
        """
        if (home := self._homes.get(channel)) is not None:
            return home
        best = min(self._connected(), key=lambda shard: shard.load)
        if best.waiting > self._rate and not self._opening.locked():
            self.run(self._widen())
        return best

    async def release(self, channel: str) -> None:
        """Let a channel go if nobody uses it."""
        attachment = self.attachment(channel)
        if attachment is not None and not attachment.is_wanted:
            await self._homes.pop(channel).release(channel)

    def _roomy(self, *, but: Shard | None = None, rate: float = 0) -> Shard | None:
        """The connection with most room, if there is any with enough for so many messages a second."""
        with_room = [
            shard
            for shard in self._connected()
            if shard is not but and len(shard.attachments) < self._channels and shard.load + rate < ROOM * self._rate
        ]
        return min(with_room, key=lambda shard: shard.load, default=None)

    def _connected(self) -> list[Shard]:
        """Those that are connected.

        Raises:
            ProviderUnavailable: there is none.
        """
        connected = [shard for shard in self._shards if shard.is_connected]
        if not connected:
            why = self.state()[1] or ProviderUnavailable("Ably is not connected yet.")
            raise why.with_traceback(None)
        return connected

    def _complaints(self) -> Iterator[RealtimeError]:
        for shard in self._shards:
            yield from (each.error for each in shard.attachments.values() if each.error is not None)

    def _open(self) -> Shard:
        shard = self._make()
        self._shards.append(shard)
        shard.start()
        return shard

    async def _opened(self) -> Shard:
        """Another connection, connected."""
        shard = self._open()
        try:
            await shard.link.ready()
        except BaseException:
            await self._close(shard)
            raise
        return shard

    async def _close(self, shard: Shard) -> None:
        self._idle_since.pop(shard, None)
        if shard in self._shards:
            self._shards.remove(shard)
        await shard.stop()
        self._changed()

    async def _widen(self) -> None:
        """Open another connection, since all have more to send than they may."""
        with contextlib.suppress(RealtimeError, TimeoutError):  # those that there are go on
            async with self._opening, asyncio.timeout(PATIENCE_S):
                await self._opened()

    async def _tend(self) -> None:
        while True:
            await self._clock.sleep(TEND_S)
            try:
                await self._tend_once()
            except Exception:
                logger.exception("Looking after the connections failed; it is tried again")

    async def _tend_once(self) -> None:
        """Close connections that nobody uses, and relieve those that carry too much."""
        self._changed()
        for shard in self._shards[1:]:
            if self._is_idle(shard):  # now, not before the last one was closed
                await self._close(shard)
        for shard in list(self._shards):
            if shard.is_connected and shard.heard.rate > FULL * self._rate:
                await self._relieve(shard)

    def _is_idle(self, shard: Shard) -> bool:
        """Whether nobody has used it for long."""
        now = self._clock.monotonic()
        if shard.attachments or shard.load > 1:
            self._idle_since.pop(shard, None)
            return False
        return now > self._idle_since.setdefault(shard, now) + IDLE_S

    async def _relieve(self, shard: Shard) -> None:
        """Move the busiest channel to another connection; what comes over both for a moment has the same ids."""
        movable = [each for each in shard.attachments.values() if each.is_movable]
        if not movable:
            return
        busiest = max(movable, key=lambda each: each.load.rate)
        name, callback, rate = busiest.name, busiest.callback, busiest.load.rate
        if shard.heard.rate - rate < 1:  # it would be as busy elsewhere
            return

        def want(attachment: Attachment) -> None:
            attachment.callback = callback

        with contextlib.suppress(Exception):  # it stays where it is
            async with asyncio.timeout(PATIENCE_S), self._opening:
                other = self._roomy(but=shard, rate=rate) or await self._opened()
                other.heard.expect(rate)
                await other.use(name, want)
                if self.attachment(name) is busiest and busiest.callback is callback and busiest.is_movable:
                    self._homes[name] = other
                    left, leaving = shard, busiest
                else:  # somebody let it go, or wants more of it, meanwhile
                    left, leaving = other, other.attachments[name]
                leaving.callback = None
                await left.release(name)
