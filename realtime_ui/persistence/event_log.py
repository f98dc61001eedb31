"""The log: what happened on each channel, numbered; appended by a `GroupWriter`, read back by seq."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import text

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.emitters import UNKNOWN
from realtime_ui.core.messages import Head, Message, row_tag
from realtime_ui.core.payloads import MAX_STORED_BYTES, read_stored
from realtime_ui.core.position import Position
from realtime_ui.persistence.append_requests import Entry, Stored
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.group_writer import GroupWriter
from realtime_ui.persistence.times import to_ms

_HEAD = text("""
    SELECT h.epoch, h.first_seq, h.last_seq FROM realtime_channel_heads h
    JOIN realtime_channels c ON c.id = h.channel_id
    WHERE c.tenant_id = :tenant AND c.channel_name = :name
""")
# The row at the seq asked for comes along, by one more look into an index: so that a position is compared each time,
# and nobody needs to guess what may have made a log go back.
_LOOK = text("""
    SELECT c.tenant_id, c.channel_name, h.epoch, h.first_seq, h.last_seq, e.event_id, e.published_at
    FROM unnest(cast(:tenants AS uuid[]), cast(:names AS text[]), cast(:seqs AS bigint[])) AS u (tenant, name, seq)
    JOIN realtime_channels c ON c.tenant_id = u.tenant AND c.channel_name = u.name
    JOIN realtime_channel_heads h ON h.channel_id = c.id
    LEFT JOIN realtime_events_log e ON e.channel_id = h.channel_id AND e.seq = coalesce(u.seq, h.last_seq)
""")
# The tags of consecutive rows stand one after another, 16 digits each.
_DIFFERING = text("""
    SELECT c.tenant_id, c.channel_name, min(e.seq) AS seq
    FROM unnest(cast(:tenants AS uuid[]), cast(:names AS text[]), cast(:firsts AS bigint[]), cast(:tags AS text[]))
        AS u (tenant, name, first, tags)
    JOIN realtime_channels c ON c.tenant_id = u.tenant AND c.channel_name = u.name
    JOIN realtime_events_log e
        ON e.channel_id = c.id AND e.seq >= u.first AND e.seq < u.first + length(u.tags) / 16
    WHERE realtime_row_tag(e.event_id, e.published_at) <> substr(u.tags, ((e.seq - u.first) * 16 + 1)::integer, 16)
    GROUP BY c.tenant_id, c.channel_name
""")
_BEGIN_EPOCH = text("SELECT realtime_begin_epoch(:tenant, :name, cast(:epoch AS uuid), :seq, :tag)")
# Row by row by its number, since seqs have no gaps: so the database reads no row beyond the page's last, whether that
# is due to the limit or to the size. The channel as a scalar keeps the first row an index probe, however long the log.
_READ = """
    WITH RECURSIVE spot AS (
        SELECT c.id, h.epoch FROM realtime_channels c JOIN realtime_channel_heads h ON h.channel_id = c.id
        WHERE c.tenant_id = :tenant AND c.channel_name = :name
    ), page AS (
        (SELECT e.channel_id, e.seq, e.event_id, e.event_type, e.published_at, e.emitted_by, d.text,
                octet_length(d.text) AS bytes, {sent}::bigint AS total, 1 AS rows
         FROM realtime_events_log e CROSS JOIN LATERAL (SELECT e.event_data::text AS text OFFSET 0) d
         WHERE e.channel_id = (SELECT id FROM spot) AND e.seq > :after AND e.seq < :before
         ORDER BY e.seq {direction} LIMIT 1)
        UNION ALL
        SELECT e.channel_id, e.seq, e.event_id, e.event_type, e.published_at, e.emitted_by, d.text,
               octet_length(d.text), page.total + {sent}, page.rows + 1
        FROM page JOIN realtime_events_log e ON e.channel_id = page.channel_id AND e.seq = page.seq {step} 1
        CROSS JOIN LATERAL (SELECT e.event_data::text AS text OFFSET 0) d
        WHERE e.seq > :after AND e.seq < :before AND page.rows < :limit
          AND page.total + {sent} <= :max_bytes
    )
    SELECT page.seq, page.event_id, page.event_type, page.published_at, page.emitted_by, page.bytes,
           CASE WHEN page.bytes <= :largest THEN page.text END AS data, spot.epoch
    FROM page CROSS JOIN spot ORDER BY page.seq
"""
_SENT = "CASE WHEN octet_length(d.text) <= :largest THEN octet_length(d.text) ELSE 0 END"
_READ_UP = text(_READ.format(direction="ASC", step="+", sent=_SENT))
_READ_DOWN = text(_READ.format(direction="DESC", step="-", sent=_SENT))
_NEW_EPOCHS = text("UPDATE realtime_channel_heads SET epoch = gen_random_uuid(), epoch_began_at = clock_timestamp()")
_UNPUBLISHED = text("""
    SELECT c.tenant_id, c.channel_name, lower(hole) AS first, upper(hole) - 1 AS last
    FROM realtime_channel_heads h
    JOIN realtime_channels c ON c.id = h.channel_id
    CROSS JOIN unnest(int8multirange(int8range(h.published_seq + 1, h.last_seq + 1)) - h.published_runs) AS hole
    JOIN realtime_events_log e ON e.channel_id = h.channel_id AND e.seq = lower(hole)
    WHERE h.published_seq < h.last_seq AND e.published_at < now() - make_interval(secs => :age)
    AND NOT EXISTS (SELECT 1 FROM unnest(cast(:tenants AS uuid[]), cast(:names AS text[])) AS x (tenant, name)
                    WHERE x.tenant = c.tenant_id AND x.name = c.channel_name)
    ORDER BY e.published_at, first LIMIT 100
""")
# Mark and runs united: the first range is then [0, new mark], and the others remain runs. A run counts where the log
# has its last message: what a failover lost marks nothing of what took its numbers.
_MARK = text("""
    UPDATE realtime_channel_heads h
    SET published_seq = upper(m.first) - 1, published_runs = m.runs - int8multirange(m.first)
    FROM (SELECT u.channel_id, u.runs, (SELECT range FROM unnest(u.runs) AS range LIMIT 1) AS first
          FROM (SELECT l.channel_id,
                       l.published_runs + x.runs + int8multirange(int8range(0, l.published_seq + 1)) AS runs
                FROM (SELECT c.id, h.epoch, range_agg(int8range(r.first, r.last, '[]')) AS runs
                      FROM unnest(cast(:tenants AS uuid[]), cast(:names AS text[]), cast(:epochs AS uuid[]),
                                  cast(:firsts AS bigint[]), cast(:lasts AS bigint[]), cast(:ids AS text[]))
                          AS r (tenant, name, epoch, first, last, event_id)
                      JOIN realtime_channels c ON c.tenant_id = r.tenant AND c.channel_name = r.name
                      JOIN realtime_channel_heads h ON h.channel_id = c.id AND h.epoch = r.epoch
                      JOIN realtime_events_log e
                          ON e.channel_id = c.id AND e.seq = r.last AND e.event_id = r.event_id
                      GROUP BY c.id, h.epoch) x
                JOIN realtime_channel_heads l ON l.channel_id = x.id AND l.epoch = x.epoch
                ORDER BY l.channel_id FOR UPDATE OF l) u) m
    WHERE h.channel_id = m.channel_id
""")

MAX_READ_BYTES = 4_000_000

ChannelKey = tuple[uuid.UUID, ChannelName]
"""A tenant's channel: what the log, the hub and the rooms are keyed by."""
Run = tuple[int, int]
"""The first and the last of consecutive seqs."""


@dataclass(frozen=True, slots=True)
class Published:
    """Consecutive messages of a channel that were published: their seqs, epoch, and the id of the last one."""

    first: int
    last: int
    epoch: str
    id: str


@dataclass(frozen=True, slots=True)
class Look:
    """Where a channel stands, and the tag of the row that was asked for; "" where none stands there."""

    EMPTY: ClassVar["Look"]

    head: Head
    tag: str


Look.EMPTY = Look(Head.EMPTY, "")


class EventLog:
    """Append and read. `start` and `stop` own the task that writes the groups.

    Args:
        database: where it stands, for reading.
        writer: the same, with a connection that no reader can take and bounds on how long it waits.
        clock: tells the time.
        appended: told after each commit on which channels events were stored, once for each event.
    """

    def __init__(
        self,
        database: Database,
        writer: Database,
        clock: Clock,
        appended: Callable[[Iterable[ChannelKey]], None] = lambda channels: None,
    ) -> None:
        self._database = database
        self._groups = GroupWriter(writer, clock)
        self._appended = appended

    async def start(self) -> None:
        """Begin to write."""
        await self._groups.start()

    async def stop(self) -> None:
        """Finish the group in flight; callers still waiting get `Unavailable`."""
        await self._groups.stop()

    async def append(self, entries: Sequence[Entry]) -> list[Stored]:
        """Store entries, whole or not at all, and number each on its channel; see `GroupWriter.append`."""
        stored = await self._groups.append(entries)
        self._appended([(each.message.tenant, each.message.channel) for each in stored if not each.duplicate])
        return stored

    async def head(self, tenant: uuid.UUID, channel: ChannelName) -> Head | None:
        """Where the channel stands, or None when nobody ever wrote to or named it."""
        async with self._database.single() as connection:
            row = (await connection.execute(_HEAD, {"tenant": tenant, "name": str(channel)})).first()
        return None if row is None else Head(str(row.epoch), row.first_seq, row.last_seq)

    async def look(self, asked: Mapping[ChannelKey, int | None]) -> dict[ChannelKey, Look]:
        """Where several channels stand, and the tag of one row of each, in one query; unknown ones are left out.

        Args:
            asked: the seq of that row for each channel; None for the last one.
        """
        if not asked:
            return {}
        values = {
            "tenants": [tenant for tenant, _ in asked],
            "names": [str(name) for _, name in asked],
            "seqs": list(asked.values()),
        }
        async with self._database.single() as connection:
            rows = (await connection.execute(_LOOK, values)).all()
        return {
            (row.tenant_id, ChannelName.stored(row.channel_name)): Look(
                Head(str(row.epoch), row.first_seq, row.last_seq),
                "" if row.event_id is None else row_tag(row.event_id, to_ms(row.published_at)),
            )
            for row in rows
        }

    @property
    def connections_lost(self) -> int:
        """How many connections to the database broke so far."""
        return self._database.connections_lost

    async def differing(self, asked: Mapping[ChannelKey, tuple[int, Sequence[str]]]) -> dict[ChannelKey, int]:
        """The first seq of each channel where the log has another row; channels without one are left out.

        Args:
            asked: for each channel the seq of the first row to compare, and the tags of the rows from there on.
        """
        values = {
            "tenants": [tenant for tenant, _ in asked],
            "names": [str(name) for _, name in asked],
            "firsts": [first for first, _ in asked.values()],
            "tags": ["".join(tags) for _, tags in asked.values()],
        }
        async with self._database.single() as connection:
            rows = (await connection.execute(_DIFFERING, values)).all()
        return {(row.tenant_id, ChannelName.stored(row.channel_name)): row.seq for row in rows}

    async def begin_epoch(self, tenant: uuid.UUID, channel: ChannelName, position: Position) -> bool:
        """Begin a new epoch where the log contradicts a position; False where it does not, or another epoch began.

        Idempotent: other workers that notice the same find the epoch already begun.

        Args:
            tenant: whose.
            channel: which.
            position: one that this system is known to have handed out. A client's word is no reason to reset others.
        """
        values = {
            "tenant": tenant,
            "name": str(channel),
            "epoch": position.epoch,
            "seq": position.seq,
            "tag": position.tag,
        }
        async with self._database.single() as connection:
            return bool((await connection.execute(_BEGIN_EPOCH, values)).scalar_one())

    async def read(
        self,
        tenant: uuid.UUID,
        channel: ChannelName,
        *,
        after: int = 0,
        before: int | None = None,
        limit: int,
        max_bytes: int = MAX_READ_BYTES,
    ) -> list[Message]:
        """Messages with `after < seq < before`, oldest first.

        With `before` given, the page is the rows next below it; otherwise those next above `after`: as many
        as `limit`, or fewer where their payloads together pass `max_bytes`, but at least one. A payload that is nested
        too deeply, too large, or holds a number that readers do not take, is `unreadable` in its message.
        """
        values = {
            "tenant": tenant,
            "name": str(channel),
            "after": after,
            "before": before if before is not None else 2**62,
            "limit": limit,
            "max_bytes": max_bytes,
            "largest": MAX_STORED_BYTES,
        }
        async with self._database.single() as connection:
            rows = (await connection.execute(_READ_UP if before is None else _READ_DOWN, values)).all()
        return [_message(tenant, channel, row) for row in rows]

    async def new_epochs(self) -> int:
        """Let every channel count in an epoch of its own, anew; returns how many there are.

        For a log that stands at another place than its readers think, restored from a backup: by the epoch they
        notice, and begin again.
        """
        async with self._database.single() as connection:
            return (await connection.execute(_NEW_EPOCHS)).rowcount

    async def unpublished(self, *, age_s: float, but: Collection[ChannelKey] = ()) -> list[tuple[ChannelKey, Run]]:
        """Runs of messages, committed at least `age_s` seconds ago, that nobody marked as published; the oldest 100.

        Args:
            age_s: how old, in s.
            but: channels to leave out.
        """
        values = {"age": age_s, "tenants": [tenant for tenant, _ in but], "names": [str(name) for _, name in but]}
        async with self._database.single() as connection:
            rows = (await connection.execute(_UNPUBLISHED, values)).all()
        return [((row.tenant_id, ChannelName.stored(row.channel_name)), (row.first, row.last)) for row in rows]

    async def mark_published(self, runs: Mapping[ChannelKey, Sequence[Published]]) -> None:
        """Remember which messages were published, by whichever worker, in whichever order."""
        flat = [(key, run) for key, each in runs.items() for run in each]
        values = {
            "tenants": [tenant for (tenant, _), _ in flat],
            "names": [str(name) for (_, name), _ in flat],
            "epochs": [run.epoch for _, run in flat],
            "firsts": [run.first for _, run in flat],
            "lasts": [run.last for _, run in flat],
            "ids": [run.id for _, run in flat],
        }
        async with self._database.transaction() as connection:
            await connection.execute(_MARK, values)


def _message(tenant: uuid.UUID, channel: ChannelName, row: Any) -> Message:
    data, unreadable = read_stored(row.data, row.bytes)
    return Message(
        tenant,
        channel,
        row.seq,
        str(row.epoch),
        row.event_id,
        row.event_type,
        data,
        to_ms(row.published_at),
        unreadable,
        row.emitted_by or UNKNOWN,
    )
