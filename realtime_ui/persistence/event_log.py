"""The log: what happened on each channel, numbered; appended by a `GroupWriter`, read back by seq."""

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import text

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.clock import Clock
from realtime_ui.core.messages import Head, Message
from realtime_ui.core.payloads import MAX_STORED_BYTES, read_stored
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.group_writer import Entry, GroupWriter, Stored, to_ms

_HEAD = text("""
    SELECT h.epoch, h.first_seq, h.last_seq FROM realtime_channel_heads h
    JOIN realtime_channels c ON c.id = h.channel_id
    WHERE c.tenant_id = :tenant AND c.channel_name = :name
""")
_HEADS = text("""
    SELECT c.tenant_id, c.channel_name, h.epoch, h.first_seq, h.last_seq FROM realtime_channel_heads h
    JOIN realtime_channels c ON c.id = h.channel_id
    JOIN unnest(cast(:tenants AS uuid[]), cast(:names AS text[])) AS u (tenant, name)
        ON c.tenant_id = u.tenant AND c.channel_name = u.name
""")
# Row by row by its number, since seqs have no gaps: so the database reads no row beyond the page's last, whether that
# is due to the limit or to the size. The channel as a scalar keeps the first row an index probe, however long the log.
_READ = """
    WITH RECURSIVE spot AS (
        SELECT c.id, h.epoch FROM realtime_channels c JOIN realtime_channel_heads h ON h.channel_id = c.id
        WHERE c.tenant_id = :tenant AND c.channel_name = :name
    ), page AS (
        (SELECT e.channel_id, e.seq, e.event_id, e.event_type, e.published_at, d.text, octet_length(d.text) AS bytes,
                {sent}::bigint AS total, 1 AS rows
         FROM realtime_events_log e CROSS JOIN LATERAL (SELECT e.event_data::text AS text OFFSET 0) d
         WHERE e.channel_id = (SELECT id FROM spot) AND e.seq > :after AND e.seq < :before
         ORDER BY e.seq {direction} LIMIT 1)
        UNION ALL
        SELECT e.channel_id, e.seq, e.event_id, e.event_type, e.published_at, d.text, octet_length(d.text),
               page.total + {sent}, page.rows + 1
        FROM page JOIN realtime_events_log e ON e.channel_id = page.channel_id AND e.seq = page.seq {step} 1
        CROSS JOIN LATERAL (SELECT e.event_data::text AS text OFFSET 0) d
        WHERE e.seq > :after AND e.seq < :before AND page.rows < :limit
          AND page.total + {sent} <= :max_bytes
    )
    SELECT page.seq, page.event_id, page.event_type, page.published_at, page.bytes,
           CASE WHEN page.bytes <= :largest THEN page.text END AS data, spot.epoch
    FROM page CROSS JOIN spot ORDER BY page.seq
"""
_SENT = "CASE WHEN octet_length(d.text) <= :largest THEN octet_length(d.text) ELSE 0 END"
_READ_UP = text(_READ.format(direction="ASC", step="+", sent=_SENT))
_READ_DOWN = text(_READ.format(direction="DESC", step="-", sent=_SENT))
_NEW_EPOCHS = text("UPDATE realtime_channel_heads SET epoch = gen_random_uuid()")
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
# Mark and runs united: the first range is then [0, new mark], and the others remain runs.
_MARK = text("""
    UPDATE realtime_channel_heads h
    SET published_seq = upper(m.first) - 1, published_runs = m.runs - int8multirange(m.first)
    FROM (SELECT u.channel_id, u.runs, (SELECT range FROM unnest(u.runs) AS range LIMIT 1) AS first
          FROM (SELECT l.channel_id,
                       l.published_runs + cast(x.runs AS int8multirange)
                       + int8multirange(int8range(0, l.published_seq + 1)) AS runs
                FROM unnest(cast(:tenants AS uuid[]), cast(:names AS text[]), cast(:runs AS text[]))
                    AS x (tenant, name, runs)
                JOIN realtime_channels c ON c.tenant_id = x.tenant AND c.channel_name = x.name
                JOIN realtime_channel_heads l ON l.channel_id = c.id
                ORDER BY l.channel_id FOR UPDATE OF l) u) m
    WHERE h.channel_id = m.channel_id
""")

MAX_READ_BYTES = 4_000_000

ChannelKey = tuple[uuid.UUID, ChannelName]
"""A tenant's channel: what the log, the hub and the rooms are keyed by."""
Run = tuple[int, int]
"""The first and the last of consecutive seqs."""


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

    async def heads(self, keys: Iterable[ChannelKey]) -> dict[ChannelKey, Head]:
        """Where several channels stand, in one query; unknown ones are left out."""
        keys = list(keys)
        if not keys:
            return {}
        values = {"tenants": [tenant for tenant, _ in keys], "names": [str(name) for _, name in keys]}
        async with self._database.single() as connection:
            rows = (await connection.execute(_HEADS, values)).all()
        return {
            (row.tenant_id, ChannelName.stored(row.channel_name)): Head(str(row.epoch), row.first_seq, row.last_seq)
            for row in rows
        }

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

    async def mark_published(self, runs: Mapping[ChannelKey, Sequence[Run]]) -> None:
        """Remember which messages were published, by whichever worker, in whichever order."""
        values = {
            "tenants": [tenant for tenant, _ in runs],
            "names": [str(name) for _, name in runs],
            "runs": ["{" + ",".join(f"[{first},{last}]" for first, last in each) + "}" for each in runs.values()],
        }
        async with self._database.transaction() as connection:
            await connection.execute(_MARK, values)


def _message(tenant: uuid.UUID, channel: ChannelName, row: Any) -> Message:
    data, unreadable = read_stored(row.data, row.bytes)
    stamp = to_ms(row.published_at)
    return Message(tenant, channel, row.seq, str(row.epoch), row.event_id, row.event_type, data, stamp, unreadable)
