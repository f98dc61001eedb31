"""Carries committed messages on: at once to this worker's hub, then over the provider to the others.

What waits to go out stands in a lane for each channel: one publish at a time, so that order holds, with all that
gathered during the last one. How far each channel was published is remembered in its head; what a worker committed
and died before publishing, another publishes with the same ids.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence

from realtime_ui.core import metrics
from realtime_ui.core.backoff import Backoff
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import ProviderRefused, RateLimited, RealtimeError, TooLarge
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.events.wire import Signer, wire_channel
from realtime_ui.persistence.event_log import ChannelKey, EventLog, Published, Run
from realtime_ui.providers.base import RealtimeProvider, WireMessage

logger = logging.getLogger(__name__)

WAITING_LIMIT = 20_000
"""How many messages may wait to be published, in all lanes together."""
BATCH = 100
MARK_INTERVAL_S = 1.0
ORPHAN_AGE_S = 3.0
RETRY_MIN_S, RETRY_MAX_S = 0.1, 5.0
REFUSED_S = 30.0
"""How long a channel that the provider refuses is left alone."""
PAGE = 500

Outgoing = Message | Ephemeral


class Bridge:
    """One worker's way out. `start` and `stop` own its tasks.

    Args:
        log: where marks are kept.
        provider: the wire.
        signer: marks messages as ours.
        deliver: this worker's hub.
        client_id: how this worker is called on the wire.
        clock: tells the time.
    """

    def __init__(
        self,
        log: EventLog,
        provider: RealtimeProvider,
        signer: Signer,
        deliver: Callable[[Sequence[Outgoing]], None],
        *,
        client_id: str,
        clock: Clock,
    ) -> None:
        self._log = log
        self._provider = provider
        self._signer = signer
        self._deliver = deliver
        self._client_id = client_id
        self._clock = clock
        self._lanes: dict[ChannelKey, deque[Outgoing]] = {}
        self._waiting = 0
        self._marks: dict[ChannelKey, list[Published]] = {}
        self._refused_at: dict[ChannelKey, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to mark what was published, and to look for what nobody published."""
        self._own(self._keep_marks(), "bridge-marks")

    async def stop(self) -> None:
        """End, and store the last marks; what still waits to go out another worker publishes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lanes.clear()
        self._waiting = 0
        try:
            await self._store_marks()
        except RealtimeError as error:
            logger.warning("The last published marks were not stored: %s", error)

    def publish(self, messages: Sequence[Outgoing]) -> None:
        """Show committed messages, and ephemeral ones, here and send them out; returns at once."""
        self._deliver(messages)
        self._send_out(messages)

    def take_over(self, messages: Sequence[Message]) -> None:
        """Show messages here that are on the wire already, since somebody else published them."""
        self._deliver(messages)
        for message in messages:
            self._mark(message)

    def _send_out(self, messages: Iterable[Outgoing]) -> None:
        """Put messages into their lanes.

        Beyond the limit a message is not published: the other hubs read it from the log (sweep).
        """
        for message in messages:
            if self._waiting >= WAITING_LIMIT:
                metrics.QUEUE_BOUNDS_HIT.inc()
                logger.warning("Too many messages wait to be published; %s on %s is not", message.id, message.channel)
                continue
            self._waiting += 1
            key = (message.tenant, message.channel)
            if lane := self._lanes.get(key):
                lane.append(message)
                continue
            self._lanes[key] = deque([message])
            self._own(self._run_lane(key), f"bridge {message.channel}")

    async def _run_lane(self, key: ChannelKey) -> None:
        lane = self._lanes[key]
        while lane:
            # They stay in the lane until they are out: what is added meanwhile has to wait behind them.
            batch = [lane[index] for index in range(min(BATCH, len(lane)))]
            await self._send(key, batch)
            for _ in batch:
                lane.popleft()
            self._waiting -= len(batch)
        del self._lanes[key]

    async def _send(self, key: ChannelKey, batch: Sequence[Outgoing]) -> None:
        """Publish a few messages of one channel, trying again while the provider is away."""
        name, backoff = wire_channel(*key), Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while batch:
            try:
                await self._provider.publish(name, *self._to_wire(batch))
            except TooLarge as error:
                metrics.PUBLISH_ERRORS.inc()
                if len(batch) > 1:
                    for each in batch:
                        await self._send(key, [each])
                    return
                told = error is self._provider.error  # which is logged once, for all to see
                level = logging.DEBUG if told else logging.WARNING
                logger.log(level, "Not sent on: %s", error, extra={"event_id": batch[0].id})
                self._sent(batch)  # the wire never takes it: hubs read it from the log
                return
            except ProviderRefused:  # which the provider says in its `error`, for all to see
                metrics.PUBLISH_ERRORS.inc()
                self._refused_at[key] = self._clock.monotonic()
                return
            except RealtimeError as error:
                metrics.PUBLISH_ERRORS.inc()
                logger.debug("Publishing on %s waits: %s", key[1], error)
                batch = [each for each in batch if isinstance(each, Message)]  # the others' moment is over
                asked_s = error.retry_after_s if isinstance(error, RateLimited) else 0.0
                await self._clock.sleep(max(asked_s, backoff.next()))
            except Exception:
                metrics.PUBLISH_ERRORS.inc()
                if len(batch) > 1:  # one of them may be at fault
                    for each in batch:
                        await self._send(key, [each])
                    return
                logger.exception("Publishing on %s failed", key[1], extra={"event_id": batch[0].id})
                self._sent(batch)  # else every worker would try it for ever: hubs read it from the log
                return
            else:
                self._sent(batch)
                return

    def _to_wire(self, batch: Sequence[Outgoing]) -> list[WireMessage]:
        return [self._signer.to_wire(each, self._client_id, self._provider.max_message_bytes) for each in batch]

    def _sent(self, batch: Sequence[Outgoing]) -> None:
        for message in batch:
            if isinstance(message, Message):
                self._mark(message)

    def _own(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _mark(self, message: Message) -> None:
        """Remember that a message went out."""
        runs = self._marks.setdefault((message.tenant, message.channel), [])
        first = message.seq
        if runs and runs[-1].last == message.seq - 1 and runs[-1].epoch == message.epoch:
            first = runs.pop().first
        runs.append(Published(first, message.seq, message.epoch, message.id))

    async def _keep_marks(self) -> None:
        next_look = self._clock.monotonic() + ORPHAN_AGE_S
        while True:
            await self._clock.sleep(MARK_INTERVAL_S)
            try:
                await self._store_marks()
                if self._clock.monotonic() >= next_look:
                    next_look = self._clock.monotonic() + ORPHAN_AGE_S
                    await self._adopt_orphans()
            except RealtimeError as error:
                logger.debug("Published marks wait: %s", error)  # health has said why
            except Exception:
                logger.exception("Published marks failed; they are tried again")

    async def _store_marks(self) -> None:
        marks, self._marks = self._marks, {}
        if not marks:
            return
        try:
            await self._log.mark_published(marks)
        except BaseException:
            for key, runs in self._marks.items():
                marks.setdefault(key, []).extend(runs)
            self._marks = marks
            raise

    async def _adopt_orphans(self) -> None:
        """Publish what was committed a while ago and nobody published: whoever should have is dead, or very late.

        What waits in a lane of our own looks the same and is left to it; a long hole is adopted page by page.
        """
        if not self._provider.is_connected:
            return
        now = self._clock.monotonic()
        self._refused_at = {key: at for key, at in self._refused_at.items() if now - at < REFUSED_S}
        holes: dict[ChannelKey, list[Run]] = {}
        for key, run in await self._log.unpublished(age_s=ORPHAN_AGE_S, but={*self._lanes, *self._refused_at}):
            if key not in self._lanes:  # since it was asked
                holes.setdefault(key, []).append(run)
        for key, runs in holes.items():
            orphans: list[Message] = []
            for first, last in runs:
                limit = min(PAGE - len(orphans), last - first + 1)
                orphans += await self._log.read(*key, after=first - 1, limit=limit) if limit else []
            metrics.ORPHANS_ADOPTED.inc(len(orphans))
            self._send_out(orphans)
