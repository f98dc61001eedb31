"""Brings the current fields up to date behind the log, in one task per worker.

A worker counts what it appends to each channel and folds every `FOLD_AFTER` events, so that an append pays nothing
and a fold is shared by many events. What no worker counted (it died, or the log is older than the table) is found
when somebody reads the fields, and by a sweep over all channels, a few at a time, in the worker that holds a lease.
"""

import asyncio
import logging
import uuid
from collections.abc import Iterable

from realtime_ui.core.backoff import Backoff
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.persistence.event_log import ChannelKey
from realtime_ui.persistence.fields import TAIL, FieldRepository
from realtime_ui.persistence.leases import Lease

logger = logging.getLogger(__name__)

FOLD_AFTER = TAIL // 2
BATCH = 1_000
QUICK_S, SLOW_S = 0.5, 2.0
"""A batch that took less is doubled, up to `BATCH`; one that took longer is halved."""
PAUSE_S = 0.01
"""Between two batches, so that a long log leaves room for everything else."""
SWEEP_S = 5.0
SWEEP_CHANNELS = 1_000
RETRY_MIN_S, RETRY_MAX_S = 0.5, 30.0
COUNTED_CHANNELS = 20_000
PROGRESS_EVERY = 100_000
FIRST_ID = uuid.UUID(int=0)


class FieldFolder:
    """Folds channels that are behind. `start` and `stop` own its tasks.

    Args:
        fields: reads and folds.
        lease: held by the worker that sweeps.
        clock: tells the time.
    """

    def __init__(self, fields: FieldRepository, lease: Lease, clock: Clock) -> None:
        self._fields = fields
        self._lease = lease
        self._clock = clock
        self._appended: dict[ChannelKey, int] = {}
        self._behind: dict[ChannelKey, int] = {}  # with the size of the next batch, in the order of asking
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to fold."""
        self._tasks = [
            asyncio.create_task(self._fold(), name="field-folder"),
            asyncio.create_task(self._sweep(), name="field-sweep"),
        ]

    async def stop(self) -> None:
        """End; a batch in flight is rolled back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def appended(self, channels: Iterable[ChannelKey]) -> None:
        """Count events that were stored, one for each item; never waits."""
        for key in channels:
            count = self._appended[key] = self._appended.get(key, 0) + 1
            if count >= FOLD_AFTER:
                self.request(key)
        if len(self._appended) > COUNTED_CHANNELS:
            self._appended.clear()  # the sweep finds them

    def request(self, key: ChannelKey) -> None:
        """Fold a channel soon."""
        self._appended.pop(key, None)
        self._behind.setdefault(key, BATCH)
        self._wake.set()

    async def _fold(self) -> None:
        backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while True:
            await self._wake.wait()
            key = next(iter(self._behind), None)
            if key is None:
                self._wake.clear()
                continue
            batch = self._behind.pop(key)
            try:
                await self._fold_batch(key, batch)
                backoff.reset()
            except RealtimeError as error:
                # Events with thousands of fields each may take longer than a statement may.
                self._behind[key] = max(1, batch // 4)
                logger.debug("The fields of a channel are folded later: %s", error)
                await self._clock.sleep(backoff.next())
            except Exception:
                logger.exception("The fields of channel %s of tenant %s could not be folded", key[1], key[0])
            await self._clock.sleep(PAUSE_S)

    async def _fold_batch(self, key: ChannelKey, batch: int) -> None:
        started = self._clock.monotonic()
        folded = await self._fields.fold(*key, batch=batch)
        took_s = self._clock.monotonic() - started
        if folded is None:  # another worker is folding it, up to the head
            return
        if folded.seq // PROGRESS_EVERY > (folded.seq - batch) // PROGRESS_EVERY:
            logger.info("Fields of %s: %s of %s events folded", key[1], folded.seq, folded.head)
        if folded.seq < folded.head:
            if took_s < QUICK_S:
                batch = min(BATCH, 2 * batch)
            elif took_s > SLOW_S:
                batch = max(1, batch // 2)
            self._behind[key] = batch  # behind the other channels that wait
            self._wake.set()

    async def _sweep(self) -> None:
        after = FIRST_ID
        while True:
            await self._clock.sleep(SWEEP_S)
            if not self._lease.held:
                continue
            try:
                keys, last = await self._fields.behind(after, limit=SWEEP_CHANNELS, lag=FOLD_AFTER)
                after = last or FIRST_ID
                for key in keys:
                    self.request(key)
            except RealtimeError as error:
                logger.debug("The fields' sweep waits: %s", error)
            except Exception:
                logger.exception("The fields' sweep failed; it goes on")
