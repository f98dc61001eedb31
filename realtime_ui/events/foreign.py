"""What others publish on our channels, such as a React page in the middle of a migration: into the log, once.

Every worker that is attached hears it. Where the provider gives messages an id that all of them see, each stores it
under that id, which the log does once. Where it gives none, the one that holds the lease does it for all.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable

from realtime_ui.core import metrics
from realtime_ui.core.backoff import Backoff
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.core.messages import Event
from realtime_ui.providers.base import WireMessage

logger = logging.getLogger(__name__)

LIMIT = 1_000
RETRY_MIN_S, RETRY_MAX_S = 1.0, 10.0

Judge = Callable[[WireMessage, uuid.UUID, ChannelName], Awaitable[Event]]
Record = Callable[[Event, ChannelName], Awaitable[None]]


class ForeignMessages:
    """A queue of what was heard, and the task that records it. `start` and `stop` own the task.

    Args:
        judge: makes an event of a message, as its sender may emit it.
        record: stores an event on a channel and shows it.
        may_record: whether this worker does so now.
        clock: tells the time.
    """

    def __init__(self, judge: Judge, record: Record, may_record: Callable[[], bool], clock: Clock) -> None:
        self._judge = judge
        self._record = record
        self._may_record = may_record
        self._clock = clock
        self._queue: asyncio.Queue[tuple[WireMessage, uuid.UUID, ChannelName]] = asyncio.Queue(LIMIT)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to record."""
        self._task = asyncio.create_task(self._run(), name="foreign-messages")

    async def stop(self) -> None:
        """End; what was not recorded is lost, as it would be had nobody heard it."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, wire: WireMessage, tenant: uuid.UUID, channel: ChannelName) -> None:
        """Hear a message; must not block."""
        if not self._may_record():
            return
        try:
            self._queue.put_nowait((wire, tenant, channel))
        except asyncio.QueueFull:
            metrics.QUEUE_BOUNDS_HIT.inc()
            logger.warning("Too many foreign messages; one on %s was dropped", channel, extra={"event_id": wire.id})

    async def _run(self) -> None:
        """Store one after another, so that their order holds; one waits for a database that is away."""
        while True:
            wire, tenant, channel = await self._queue.get()
            about = {"event_id": wire.id}
            try:
                await self._store(wire, tenant, channel)
            except RealtimeError as error:
                metrics.FOREIGN_MESSAGES.labels("refused").inc()
                logger.warning("A foreign message on %s was refused: %s", channel, error, extra=about)
            except Exception:
                logger.exception("A foreign message on %s was not recorded", channel, extra=about)
            else:
                metrics.FOREIGN_MESSAGES.labels("recorded").inc()
                logger.debug("A foreign message on %s was recorded", channel, extra=about)

    async def _store(self, wire: WireMessage, tenant: uuid.UUID, channel: ChannelName) -> None:
        backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while True:
            try:
                return await self._record(await self._judge(wire, tenant, channel), channel)
            except RealtimeError as error:
                if not error.retryable:
                    raise
                logger.debug("A foreign message on %s waits: %s", channel, error, extra={"event_id": wire.id})
            await self._clock.sleep(backoff.next())
