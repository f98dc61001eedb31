"""Appends events in groups, one statement and one commit each.

While one commit is in flight the next group gathers, so a lone event waits for nobody and a thousand
callers share a commit. Numbering, uniqueness and lock order are `realtime_append`'s (revisions 0203
and 0212).
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError

from realtime_ui.core import metrics
from realtime_ui.core.backoff import Backoff
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import DatabaseUnavailable, Unavailable
from realtime_ui.persistence.append_requests import AppendRequest, Entry, Stored, unavailable
from realtime_ui.persistence.database import Database, sql_state

logger = logging.getLogger(__name__)

GROUP_ROWS = 2_000
GROUP_BYTES = 8_000_000
"""Of payloads; a single caller's may be more."""
WAITING_ROWS = 50_000
WAITING_BYTES = 100_000_000
RETRIES = 5
RIDE_OUT_S = 3.0
"""How long a group is tried again while the database is away; a restart of it often takes less."""
RETRY_MIN_S, RETRY_MAX_S = 0.1, 1.0
ANSWER_WITHIN_S = 10.0
"""A caller that has no answer by then is told to try again, whatever its group waits for."""
RETRYABLE_STATES = {"40001", "40P01"}  # serialization failure, deadlock
LOCK_NOT_AVAILABLE = "55P03"

_APPEND = (
    "SELECT epoch, seq, published_at, verdict FROM realtime_append("
    "%s::int[], %s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::text[])"
)


class GroupWriter:
    """Appends. `start` and `stop` own the task that writes the groups.

    Args:
        database: with a connection that no reader can take, and bounds on how long it waits.
        clock: tells the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: deque[AppendRequest] = deque()
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write."""
        self._writer = asyncio.create_task(self._write_groups(), name="event-log-writer")

    async def stop(self) -> None:
        """Finish the group in flight; callers still waiting get `Unavailable`."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            self._wake.set()
            await writer
        for caller in self._waiting:
            caller.fail(Unavailable("The server is stopping.", remedy="Send the same event again."))
        self._waiting.clear()
        self._waiting_rows = self._waiting_bytes = 0

    async def append(self, entries: Sequence[Entry]) -> list[Stored]:
        """Store entries, whole or not at all, and number each on its channel.

        Args:
            entries: each (channel, event id) at most once.

        Returns:
            one `Stored` per entry, in order, after the commit.

        Raises:
            Conflict: an id is known on its channel with another type or payload.
            TooManyChannels: a channel is new, and its tenant has as many as it may have.
            ChannelFull: a channel's numbers have come to their end.
            InvalidEvent: PostgreSQL cannot take a payload.
            DatabaseUnavailable: nothing is known about the outcome; the same ids may be sent again.
        """
        if self._writer is None:
            raise Unavailable("The server is stopping.", remedy="Send the same event again.")
        if self._waiting_rows > WAITING_ROWS or self._waiting_bytes > WAITING_BYTES:
            metrics.QUEUE_BOUNDS_HIT.inc()
            raise DatabaseUnavailable("The database does not keep up.", remedy="Send the same event again in a moment.")
        caller = AppendRequest(entries, asyncio.get_running_loop().create_future())
        self._waiting.append(caller)
        self._waiting_rows += len(entries)
        self._waiting_bytes += caller.size
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await caller.done
        except TimeoutError as error:
            raise unavailable(error) from error

    async def _write_groups(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := self._next_group():
                await self._write(group)
            if self._writer is None:
                return

    def _next_group(self) -> list[AppendRequest]:
        """Take callers until the group is full or one repeats an id of the group (it goes first next time)."""
        group: list[AppendRequest] = []
        rows = size = 0
        keys: set[tuple[uuid.UUID, ChannelName, str]] = set()
        while self._waiting:
            caller = self._waiting[0]
            gone = caller.done.done()  # it went away while it waited
            full = rows + len(caller.entries) > GROUP_ROWS or size + caller.size > GROUP_BYTES
            if group and not gone and (full or not keys.isdisjoint(caller.keys)):
                break
            self._waiting.popleft()
            self._waiting_rows -= len(caller.entries)
            self._waiting_bytes -= caller.size
            if not gone:
                group.append(caller)
                rows += len(caller.entries)
                size += caller.size
                keys |= caller.keys
        return group

    async def _write(self, group: list[AppendRequest]) -> None:
        """Write a group and answer its callers.

        Where it fails for another reason than the database being away, its halves are written each by itself, until
        the caller at fault is alone: one poisoned entry among 2,000 callers costs some twenty statements.
        """
        try:
            with metrics.COMMIT_SECONDS.time():
                rows = await self._ride_out(group)
        except DatabaseUnavailable as error:
            metrics.COMMITS.labels("failed").inc()
            self._fail_all(group, error)
        except Exception as error:
            metrics.COMMITS.labels("failed").inc()
            if isinstance(error, DBAPIError) and sql_state(error) == LOCK_NOT_AVAILABLE:
                self._fail_all(group, unavailable(error))  # each half would wait as long again
            elif len(group) > 1:
                middle = len(group) // 2
                await self._write(group[:middle])
                await self._write(group[middle:])
            else:
                group[0].fail(group[0].refusal(error))
        else:
            metrics.COMMITS.labels("stored").inc()
            metrics.COMMIT_ROWS.observe(len(rows))
            at = 0
            for caller in group:
                caller.answer(rows[at : at + len(caller.entries)], self._database.channels_per_tenant)
                at += len(caller.entries)

    async def _ride_out(self, group: list[AppendRequest]) -> Sequence[Any]:
        """Try again while the database is away, for a while; ids make sure that nothing is stored twice."""
        give_up_at = self._clock.monotonic() + RIDE_OUT_S
        backoff = Backoff(RETRY_MIN_S, RETRY_MAX_S)
        while True:
            try:
                return await self._execute(group)
            except DatabaseUnavailable as error:
                if self._clock.monotonic() >= give_up_at or self._writer is None:
                    raise
                logger.debug("An append waits for the database: %s", error.__cause__ or error)
            await self._clock.sleep(backoff.next())

    def _fail_all(self, group: list[AppendRequest], error: Exception) -> None:
        for caller in group:
            caller.fail(error)

    async def _execute(self, group: list[AppendRequest]) -> Sequence[Any]:
        columns: tuple[list[Any], ...] = ([], [], [], [], [], [], [], [], [])
        for number, caller in enumerate(group):
            for entry in caller.entries:
                event, channel = entry.event, entry.channel
                row = (
                    number,
                    event.tenant,
                    str(channel),
                    channel.type.value,
                    channel.entity_id,
                    event.id,
                    event.type,
                    event.payload_json,
                    event.emitted_by,
                )
                for column, value in zip(columns, row, strict=True):
                    column.append(value)
        for attempt in range(RETRIES):
            try:
                async with self._database.single() as connection:
                    return (await connection.exec_driver_sql(_APPEND, columns)).all()
            except DBAPIError as error:
                if sql_state(error) not in RETRYABLE_STATES:
                    raise
                logger.info("Append attempt %s was rolled back: %s", attempt + 1, sql_state(error))
        raise DatabaseUnavailable("The database kept rolling the append back.", remedy="Send the same event again.")
