"""Appends events in groups, one statement and one commit each.

While one commit is in flight the next group gathers, so a lone event waits for nobody and a thousand
callers share a commit. Numbering, uniqueness and lock order are `realtime_append`'s (revision 0203).
"""

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DBAPIError

from realtime_ui.core import metrics
from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import Conflict, DatabaseUnavailable, InvalidEvent, RealtimeError, Unavailable
from realtime_ui.core.messages import Event, Message
from realtime_ui.persistence.database import Database, is_refusal, sql_state

logger = logging.getLogger(__name__)

GROUP_ROWS = 2_000
WAITING_ROWS = 50_000
RETRIES = 5
RIDE_OUT_S = 3.0
"""How long a group is tried again while the database is away; a restart of it often takes less."""
PAUSE_S = 0.2
ANSWER_WITHIN_S = 10.0
"""A caller that has no answer by then is told to try again, whatever its group waits for."""
RETRYABLE_STATES = {"40001", "40P01"}  # serialization failure, deadlock

_APPEND = (
    "SELECT epoch, seq, published_at, verdict FROM realtime_append("
    "%s::int[], %s::uuid[], %s::text[], %s::text[], %s::uuid[], %s::text[], %s::text[], %s::jsonb[], %s::text[])"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event on its way to one channel's log."""

    event: Event
    channel: ChannelName


@dataclass(frozen=True, slots=True)
class Stored:
    """An entry as it came to stand; `duplicate` when it was there before."""

    message: Message
    duplicate: bool


@dataclass(slots=True)
class _Caller:
    """What one caller wants appended, whole or not at all, and the promise to it."""

    entries: Sequence[Entry]
    done: "asyncio.Future[list[Stored]]"
    keys: set[tuple[uuid.UUID, ChannelName, str]] = field(init=False)

    def __post_init__(self) -> None:
        self.keys = {(entry.event.tenant, entry.channel, entry.event.id) for entry in self.entries}


class GroupWriter:
    """Appends. `start` and `stop` own the task that writes the groups.

    Args:
        database: with a connection that no reader can take, and bounds on how long it waits.
        clock: tells the time.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._waiting: deque[_Caller] = deque()
        self._waiting_rows = 0
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
            _fail(caller, Unavailable("The server is stopping.", remedy="Send the same event again."))
        self._waiting.clear()
        self._waiting_rows = 0

    async def append(self, entries: Sequence[Entry]) -> list[Stored]:
        """Store entries, whole or not at all, and number each on its channel.

        Args:
            entries: each (channel, event id) at most once.

        Returns:
            one `Stored` per entry, in order, after the commit.

        Raises:
            Conflict: an id is known on its channel with another type or payload.
            InvalidEvent: PostgreSQL cannot take a payload.
            DatabaseUnavailable: nothing is known about the outcome; the same ids may be sent again.
        """
        if self._writer is None:
            raise Unavailable("The server is stopping.", remedy="Send the same event again.")
        if self._waiting_rows > WAITING_ROWS:
            metrics.QUEUE_BOUNDS_HIT.inc()
            raise DatabaseUnavailable("The database does not keep up.", remedy="Send the same event again in a moment.")
        caller = _Caller(entries, asyncio.get_running_loop().create_future())
        self._waiting.append(caller)
        self._waiting_rows += len(entries)
        self._wake.set()
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await caller.done
        except TimeoutError as error:
            raise _away(error) from error

    async def _write_groups(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while group := self._next_group():
                await self._write(group)
            if self._writer is None:
                return

    def _next_group(self) -> list[_Caller]:
        """Take callers until the group is full or one repeats an id of the group (it goes first next time)."""
        group: list[_Caller] = []
        rows = 0
        keys: set[tuple[uuid.UUID, ChannelName, str]] = set()
        while self._waiting:
            caller = self._waiting[0]
            if caller.done.done():  # it went away while it waited
                self._waiting_rows -= len(self._waiting.popleft().entries)
                continue
            if group and (rows + len(caller.entries) > GROUP_ROWS or not keys.isdisjoint(caller.keys)):
                break
            group.append(self._waiting.popleft())
            rows += len(caller.entries)
            self._waiting_rows -= len(caller.entries)
            keys |= caller.keys
        return group

    async def _write(self, group: list[_Caller]) -> None:
        """Write a group and answer its callers; a group that fails as a whole is tried caller by caller."""
        try:
            with metrics.COMMIT_SECONDS.time():
                rows = await self._ride_out(group)
        except (DBAPIError, UnicodeError) as error:
            metrics.COMMITS.labels("failed").inc()
            if not is_refusal(error):
                logger.error("An append failed: %s", error)
                self._fail_all(group, _away(error))
            elif len(group) > 1:
                for caller in group:
                    await self._write([caller])
            else:
                logger.warning("PostgreSQL refused an event: %s", error)
                refusal = InvalidEvent("PostgreSQL cannot store this payload.", field="payload", remedy="Simplify it.")
                refusal.__cause__ = error
                self._fail_all(group, refusal)
        except Exception as error:
            metrics.COMMITS.labels("failed").inc()
            if not isinstance(error, RealtimeError):
                logger.exception("An append failed")
            self._fail_all(group, error)
        else:
            metrics.COMMITS.labels("stored").inc()
            metrics.COMMIT_ROWS.observe(len(rows))
            at = 0
            for caller in group:
                _answer(caller, rows[at : at + len(caller.entries)])
                at += len(caller.entries)

    async def _ride_out(self, group: list[_Caller]) -> Sequence[Any]:
        """Try again while the database is away, for a while; ids make sure that nothing is stored twice."""
        give_up_at = self._clock.monotonic() + RIDE_OUT_S
        while True:
            try:
                return await self._execute(group)
            except DatabaseUnavailable as error:
                if self._clock.monotonic() >= give_up_at or self._writer is None:
                    raise
                logger.debug("An append waits for the database: %s", error.__cause__ or error)
            await self._clock.sleep(PAUSE_S)

    def _fail_all(self, group: list[_Caller], error: Exception) -> None:
        for caller in group:
            _fail(caller, error)

    async def _execute(self, group: list[_Caller]) -> Sequence[Any]:
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


def to_ms(time: datetime) -> int:
    """A time as ms since the Unix epoch."""
    return round(time.timestamp() * 1000)


def _away(error: Exception) -> DatabaseUnavailable:
    away = DatabaseUnavailable(
        "The database could not store this now.", remedy="Send the same event again in a moment."
    )
    away.__cause__ = error
    return away


def _fail(caller: _Caller, error: BaseException) -> None:
    if not caller.done.done():
        caller.done.set_exception(error)


def _answer(caller: _Caller, rows: Sequence[Any]) -> None:
    if caller.done.done():  # the caller went away while its events were being stored
        return
    stored = []
    for entry, row in zip(caller.entries, rows, strict=True):
        event, channel = entry.event, entry.channel
        if row.verdict == "conflict":
            error = Conflict(
                f"The id {event.id!r} was used on {channel} for other content.",
                field="id",
                remedy="Send a new id for a new event, or the same content again.",
            )
            _fail(caller, error)
            return
        stamp = to_ms(row.published_at)
        message = Message(event.tenant, channel, row.seq, str(row.epoch), event.id, event.type, event.payload, stamp)
        stored.append(Stored(message, row.verdict == "duplicate"))
    caller.done.set_result(stored)
