"""The hub: one per worker. Brings each watched channel's messages into order and hands them on in frames.

Messages come from this worker's bridge and from the provider, possibly doubled, reordered or lost. A hole
waits a moment for a straggler and is then read from the log; a sweep compares every watched channel with the
log, so that a loss makes a feed slower, never wrong.

How a channel gets back in step with the log, and what happens where the log went back, is `hub/catch_up.py`.
"""

import asyncio
import logging
import uuid
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from realtime_ui.core import metrics
from realtime_ui.core.backoff import Backoff
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.events.wire import Notice, Signer, parse_wire_channel, wire_channel
from realtime_ui.hub.catch_up import CatchUp, Log
from realtime_ui.hub.watched import Frame, Sink, Watched
from realtime_ui.persistence.event_log import ChannelKey, Look
from realtime_ui.providers.base import RealtimeProvider, Unsubscribe, WireMessage

logger = logging.getLogger(__name__)

ATTACH_PATIENCE_S = 0.25
"""How long whoever watches waits for the wire, in s; then rows come from the log until it is there."""
SWEEP_RETRY_S = 0.25
"""How soon a sweep that failed is repeated, in s; then at growing intervals."""


class RealtimeHub:
    """Orders and hands on. `start` and `stop` own the sweep and all reads.

    Args:
        log: the truth.
        provider: the wire, connected by whoever made it.
        signer: tells own messages from foreign ones.
        clock: tells the time.
        record_foreign: takes (message, tenant, channel) of what somebody else published.
        frame_window_s: messages within it after a frame share the next one.
        gap_wait_s: how long a hole waits for a straggler.
        sweep_interval_s: how often the watched channels are compared with the log.
    """

    def __init__(
        self,
        log: Log,
        provider: RealtimeProvider,
        signer: Signer,
        clock: Clock,
        record_foreign: Callable[[WireMessage, uuid.UUID, ChannelName], None],
        *,
        frame_window_s: float,
        gap_wait_s: float,
        sweep_interval_s: float,
    ) -> None:
        self._log = log
        self._provider = provider
        self._signer = signer
        self._clock = clock
        self._record_foreign = record_foreign
        self._frame_window_s = frame_window_s
        self._sweep_interval_s = sweep_interval_s
        self._watched: dict[ChannelKey, Watched] = {}
        self._locks: WeakValueDictionary[ChannelKey, asyncio.Lock] = WeakValueDictionary()
        self._sweeper: asyncio.Task[None] | None = None
        self._loss_sweep: asyncio.Task[None] | None = None
        self._lost_again = False
        self._catch_up = CatchUp(log, clock, self._flush, self._hand_on, self._is_watched, wait_s=gap_wait_s)
        self._stop_listening: Unsubscribe = lambda: None

    async def start(self) -> None:
        """Begin to sweep: regularly, and at once when the provider says that messages may be lost."""
        self._sweeper = asyncio.create_task(self._sweep_forever(), name="hub-sweep")
        self._stop_listening = self._provider.on_loss(self._on_loss)

    async def stop(self) -> None:
        """End the sweeps and every read; forget who watches."""
        self._stop_listening()
        works = [work for watched in self._watched.values() for work in (watched.reading, watched.attaching)]
        tasks = [task for task in (self._sweeper, self._loss_sweep, *works) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._watched.clear()

    @property
    def lag_s(self) -> float:
        """How long the watched channel that is furthest behind has been so, in s."""
        since = [each.behind_since for each in self._watched.values() if each.behind_since is not None]
        return self._clock.monotonic() - min(since) if since else 0.0

    def delivered(self, key: ChannelKey) -> int:
        """How many messages of a channel were handed on; goes on counting for as long as somebody watches it."""
        watched = self._watched.get(key)
        return watched.delivered if watched else 0

    async def attach(self, key: ChannelKey, sink: Sink) -> None:
        """Begin to hand a channel's frames to `sink`: all that comes after the head as it is now.

        A sink that attaches twice is called once a frame and stays until it detached twice.

        Raises:
            DatabaseUnavailable: the head cannot be read.
        """
        async with self._lock(key):
            watched = self._watched.get(key) or await self._open(key)
            watched.sinks[sink] = watched.sinks.get(sink, 0) + 1

    async def detach(self, key: ChannelKey, sink: Sink) -> None:
        """Stop handing frames to `sink`; the last one to go detaches the channel from the provider."""
        async with self._lock(key):
            watched = self._watched.get(key)
            if watched is None or sink not in watched.sinks:
                return
            watched.sinks[sink] -= 1
            if not watched.sinks[sink]:
                del watched.sinks[sink]
            if not watched.sinks:
                await self._close(watched)

    async def check(self, key: ChannelKey) -> None:
        """Compare a channel with the log now, where it is watched, and wait for what follows from it."""
        watched = self._watched.get(key)
        if watched is not None and watched.ready:
            self._catch_up.request(watched)
            assert watched.reading is not None
            await asyncio.wait({watched.reading})

    def deliver(self, messages: Sequence[Message | Ephemeral]) -> None:
        """Take messages from this worker's bridge, or from the wire: committed ones, and ephemeral ones."""
        touched: dict[ChannelKey, Watched] = {}
        for message in messages:
            watched = self._watched.get((message.tenant, message.channel))
            if watched is None:
                continue
            if isinstance(message, Ephemeral):
                watched.accept_ephemeral(message)
            elif not watched.accept(message):
                self._catch_up.request(watched)
            touched[watched.key] = watched
        for watched in touched.values():
            self._flush(watched)

    def _on_wire(self, channel: str, wire: WireMessage) -> None:
        message = self._signer.from_wire(channel, wire)
        if message is None:
            self._record_foreign(wire, *parse_wire_channel(channel))
        elif isinstance(message, Notice):
            watched = self._watched.get((message.tenant, message.channel))
            if watched and not watched.expect(message.seq, message.epoch):
                self._catch_up.request(watched)
        else:
            self.deliver([message])

    def _lock(self, key: ChannelKey) -> asyncio.Lock:
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock

    async def _open(self, key: ChannelKey) -> Watched:
        watched = self._watched[key] = Watched(key)
        try:
            # Attached first, then the head: nothing falls between the two. Where the wire is slow, rows do not wait
            # for it; the head is then compared once more when it is there.
            watched.attaching = asyncio.create_task(self._attach_to_wire(watched), name=f"hub-attach {key[1]}")
            await asyncio.wait({watched.attaching}, timeout=ATTACH_PATIENCE_S)
            attached = watched.attached
            if not watched.begin_at((await self._log.look({key: None})).get(key, Look.EMPTY)):
                self._catch_up.request(watched)
            if watched.attached is not attached:  # while the head was read
                await self._catch_up.compare({key: watched})
        except BaseException:
            await self._close(watched)
            raise
        return watched

    async def _close(self, watched: Watched) -> None:
        self._watched.pop(watched.key, None)
        if watched.reading:
            watched.reading.cancel()
        if watched.attaching:
            watched.attaching.cancel()
            await asyncio.wait({watched.attaching})
        try:
            await self._provider.unsubscribe(wire_channel(*watched.key))
        except RealtimeError as error:
            logger.debug("Detaching %s failed: %s", watched.key[1], error)

    async def _attach_to_wire(self, watched: Watched) -> None:
        try:
            await self._provider.subscribe(wire_channel(*watched.key), self._on_wire)
            watched.attached = True
            if watched.ready:  # with a head that was read before
                await self._catch_up.compare({watched.key: watched})
        except RealtimeError as error:
            # The sweep feeds the channel from the log and tries again.
            logger.debug("Attaching %s failed, the sweep goes on: %s", watched.key[1], error)
        except Exception:
            logger.exception("Attaching %s failed, the sweep goes on", watched.key[1])

    def _flush(self, watched: Watched) -> None:
        """Send what has gathered, unless a frame went out less than a window ago; then the window's end does."""
        if watched.window_open or not (frame := watched.take()):
            return
        self._hand_on(watched, frame)
        if self._frame_window_s:
            watched.window_open = True
            self._clock.call_later(self._frame_window_s, lambda: self._end_window(watched))

    def _end_window(self, watched: Watched) -> None:
        watched.window_open = False
        self._flush(watched)

    def _hand_on(self, watched: Watched, frame: Frame) -> None:
        metrics.FRAMES.inc()
        watched.delivered += len(frame.messages)
        for sink in list(watched.sinks):
            try:
                sink(frame)
            except Exception:
                logger.exception("A sink of %s failed", watched.key[1])

    async def _sweep_forever(self) -> None:
        retry = Backoff(SWEEP_RETRY_S, self._sweep_interval_s)
        wait_s = self._sweep_interval_s
        while True:
            await self._clock.sleep(wait_s)
            if await self._sweep():
                retry.reset()
                wait_s = self._sweep_interval_s
            else:  # sooner than usual: when the database is back, it may be another server's
                wait_s = retry.next()

    def _on_loss(self) -> None:
        """Sweep now; once more after a sweep that had begun before."""
        if self._loss_sweep is not None and not self._loss_sweep.done():
            self._lost_again = True
        else:
            self._loss_sweep = asyncio.create_task(self._sweep_after_loss(), name="hub-sweep-loss")

    async def _sweep_after_loss(self) -> None:
        self._lost_again = True
        while self._lost_again:
            self._lost_again = False
            await self._sweep()

    async def _sweep(self) -> bool:
        """Compare all that is ready with the log, and attach to the wire what is not; False where that failed."""
        try:
            watched = {key: each for key, each in self._watched.items() if each.ready}
            await self._catch_up.compare(watched)
            await self._catch_up.compare_after_breaks(watched)
            for each in watched.values():
                waits = not each.attached and (each.attaching is None or each.attaching.done())
                if waits and self._is_watched(each):
                    each.attaching = asyncio.create_task(self._attach_to_wire(each), name=f"hub-attach {each.key[1]}")
        except RealtimeError as error:
            logger.debug("The sweep failed and is repeated: %s", error)  # health has said why
            return False
        except Exception:
            logger.exception("The sweep failed and is repeated")
            return False
        return True

    def _is_watched(self, watched: Watched) -> bool:
        """Whether it still is, after something was waited for."""
        return self._watched.get(watched.key) is watched
