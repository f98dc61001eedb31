"""Carries committed messages on: at once to this worker's hub, then over the provider to the others.

How far each channel was published is remembered in its head; what a worker committed and died before
publishing, another publishes with the same ids.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence

from realtime_ui.core import metrics
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Ephemeral, Message
from realtime_ui.events.wire import Signer, wire_channel
from realtime_ui.persistence.event_log import ChannelKey, EventLog, Run
from realtime_ui.providers.base import RealtimeProvider

logger = logging.getLogger(__name__)

OUTBOX_LIMIT = 20_000
MARK_INTERVAL_S = 1.0
ORPHAN_AGE_S = 3.0
RETRY_MIN_S, RETRY_MAX_S = 0.1, 5.0
PAGE = 500


class Bridge:
    """One worker's way out. `start` and `stop` own its two tasks.

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
        deliver: Callable[[Sequence[Message | Ephemeral]], None],
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
        self._outbox: asyncio.Queue[Message | Ephemeral] = asyncio.Queue(OUTBOX_LIMIT)
        self._marks: dict[ChannelKey, list[Run]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to publish and to mark."""
        self._tasks = [
            asyncio.create_task(self._publish_all(), name="bridge-publish"),
            asyncio.create_task(self._keep_marks(), name="bridge-marks"),
        ]

    async def stop(self) -> None:
        """End both tasks and store the last marks; what is still in the outbox another worker publishes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        try:
            await self._store_marks()
        except RealtimeError as error:
            logger.warning("The last published marks were not stored: %s", error)

    def publish(self, messages: Sequence[Message | Ephemeral]) -> None:
        """Show committed messages, and ephemeral ones, here and send them out; returns at once.

        A full outbox drops the sending, not the message: the other hubs read it from the log (sweep).
        """
        self._deliver(messages)
        for message in messages:
            try:
                self._outbox.put_nowait(message)
            except asyncio.QueueFull:
                metrics.QUEUE_BOUNDS_HIT.inc()
                logger.warning("The outbox is full; %s on %s is not sent on", message.id, message.channel)

    async def _publish_all(self) -> None:
        while True:
            message = await self._outbox.get()
            try:
                await self._send(message)
            except Exception:  # what nobody thought of costs one message its quick way, not all that follow
                metrics.PUBLISH_ERRORS.inc()
                logger.exception("Publishing on %s failed", message.channel, extra={"event_id": message.id})

    async def _send(self, message: Message | Ephemeral) -> None:
        wire = self._signer.to_wire(message, self._client_id)
        pause = RETRY_MIN_S
        while True:
            try:
                await self._provider.publish(wire_channel(message.tenant, message.channel), wire)
            except RealtimeError as error:
                metrics.PUBLISH_ERRORS.inc()
                about = {"event_id": message.id}
                logger.warning("Publishing on %s failed: %s", message.channel, error, extra=about)
                if isinstance(message, Ephemeral):  # its moment is over
                    return
                if not error.retryable:
                    self._mark(message)  # the wire never takes it: hubs read it from the log
                    return
                await self._clock.sleep(pause)
                pause = min(pause * 2, RETRY_MAX_S)
            else:
                if isinstance(message, Message):
                    self._mark(message)
                return

    def _mark(self, message: Message) -> None:
        """Remember that a message went out."""
        runs = self._marks.setdefault((message.tenant, message.channel), [])
        if runs and runs[-1][1] == message.seq - 1:
            runs[-1] = (runs[-1][0], message.seq)
        else:
            runs.append((message.seq, message.seq))

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
        """Publish what was committed a while ago and nobody published: whoever should have is dead, or very late."""
        if not self._outbox.empty():  # our own backlog would look like orphans
            return
        for key, (first, last) in await self._log.unpublished(age_s=ORPHAN_AGE_S):
            after = first - 1
            while after < last and (page := await self._log.read(*key, after=after, limit=min(PAGE, last - after))):
                for message in page:
                    await self._send(message)
                    metrics.ORPHANS_ADOPTED.inc()
                after = page[-1].seq
