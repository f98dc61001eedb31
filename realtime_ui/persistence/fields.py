"""A channel's current fields: the newest value of each field that any event's `changes` set.

They are kept in a table that trails the log (revision 0210), so reading them costs the same whatever the log's
length. A read adds the newest `TAIL` events itself; `FieldFolder` brings the table up to date behind the log.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from realtime_ui.core.channels import ChannelName
from realtime_ui.core.payloads import Json, read_stored
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.event_log import ChannelKey

TAIL = 200
"""How many events beyond the table a read folds itself."""
MAX_FIELDS = 1_000
MAX_BYTES = 256_000
SHOWN_OF_UNREADABLE = 100
"""How many characters of a value are given that is nested too deeply, say, to be read."""

# One statement, so one snapshot: what was folded, what was pruned before it was folded, and the log's tail.
_READ = text("""
    WITH place AS (
        SELECT c.id, h.epoch, h.first_seq, h.last_seq, coalesce(f.more, false) AS more, coalesce(f.seq, 0) AS folded
        FROM realtime_channels c
        JOIN realtime_channel_heads h ON h.channel_id = c.id
        LEFT JOIN realtime_field_folds f
            ON f.channel_id = c.id AND f.epoch = h.epoch AND f.seq <= h.last_seq
        WHERE c.tenant_id = :tenant AND c.channel_name = :name
    ), place_and_end AS (
        SELECT *, least(last_seq, greatest(folded, first_seq - 1) + :tail) AS upto FROM place
    )
    SELECT p.epoch, p.upto, p.last_seq, p.more, n.field, n.value::text AS value, n.seq, n.bytes
    FROM place_and_end p LEFT JOIN LATERAL (
        SELECT DISTINCT ON (a.field) a.field, a.value, a.seq, a.bytes FROM (
            SELECT k.field, k.value, k.seq, k.bytes FROM realtime_current_fields k
            WHERE k.channel_id = p.id AND p.folded > 0
            UNION ALL
            SELECT k.field, k.value, k.seq, k.bytes FROM realtime_channel_fields k
            WHERE k.channel_id = p.id AND p.first_seq > p.folded + 1 AND k.seq > p.folded
            UNION ALL
            SELECT x.field, x.value, e.seq, x.bytes
            FROM realtime_events_log e CROSS JOIN LATERAL realtime_changes(e.event_data) AS x
            WHERE e.channel_id = p.id AND e.seq > p.folded AND e.seq <= p.upto
        ) a ORDER BY a.field, a.seq DESC
    ) n ON true
    ORDER BY n.seq DESC, n.field LIMIT :limit
""")
_FOLD = text("""
    SELECT r.folded_seq, r.head_seq FROM realtime_channels c CROSS JOIN LATERAL realtime_fold_fields(c.id, :batch) r
    WHERE c.tenant_id = :tenant AND c.channel_name = :name
""")
# A fixed number of heads, in the order of their key: the cost is the same however many channels there are.
_BEHIND = text("""
    WITH next_heads AS (
        SELECT h.channel_id, h.epoch, h.last_seq FROM realtime_channel_heads h
        WHERE h.channel_id > :after ORDER BY h.channel_id LIMIT :limit
    )
    SELECT s.channel_id, c.tenant_id, c.channel_name,
           s.last_seq - CASE WHEN f.epoch = s.epoch AND f.seq <= s.last_seq THEN f.seq ELSE 0 END > :lag AS behind
    FROM next_heads s
    JOIN realtime_channels c ON c.id = s.channel_id
    LEFT JOIN realtime_field_folds f ON f.channel_id = s.channel_id
    ORDER BY s.channel_id
""")


@dataclass(frozen=True, slots=True)
class FieldValue:
    """A field's value and the seq that set it.

    Where `bytes` is given, the value was too large to keep, or unreadable: `value` is the beginning of its JSON text,
    and `bytes` the size of all of it.
    """

    value: Json
    seq: int
    bytes: int | None = None

    def row(self) -> list[Json]:
        """`[value, seq]`, or `[value, seq, bytes]` for one that was cut."""
        return [self.value, self.seq] if self.bytes is None else [self.value, self.seq, self.bytes]


@dataclass(frozen=True, slots=True)
class Fields:
    """A channel's fields as the events up to `seq` left them, those that were set last first.

    `seq` is below `head` where the log is longer than what was folded so far; `more` says that there are fields
    beyond the bounds on number and size. A channel without an event has `epoch` "".
    """

    epoch: str
    seq: int
    head: int
    values: dict[str, FieldValue]
    more: bool


@dataclass(frozen=True, slots=True)
class Folded:
    """Up to which seq a channel's fields have been folded, and where its log ends."""

    seq: int
    head: int


class FieldRepository:
    """Reads and folds the current fields.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, tenant: uuid.UUID, channel: ChannelName) -> Fields:
        """A channel's fields: at most `MAX_FIELDS`, at most `MAX_BYTES` of names and values."""
        values = {"tenant": tenant, "name": str(channel), "tail": TAIL, "limit": MAX_FIELDS + 1}
        async with self._database.single() as connection:
            rows = (await connection.execute(_READ, values)).all()
        if not rows:
            return Fields("", 0, 0, {}, more=False)
        found: dict[str, FieldValue] = {}
        size = 0
        for row in rows:
            if row.field is None:
                break  # the channel has no field
            size += len(row.field.encode()) + len(row.value.encode())
            if len(found) == MAX_FIELDS or size > MAX_BYTES:
                return Fields(str(row.epoch), row.upto, row.last_seq, found, more=True)
            value, unreadable = read_stored(row.value, len(row.value.encode()))
            if unreadable is None:
                found[row.field] = FieldValue(value, row.seq, row.bytes)
            else:
                found[row.field] = FieldValue(row.value[:SHOWN_OF_UNREADABLE], row.seq, unreadable.bytes)
        place = rows[0]
        return Fields(str(place.epoch), place.upto, place.last_seq, found, place.more)

    async def fold(self, tenant: uuid.UUID, channel: ChannelName, *, batch: int) -> Folded | None:
        """Fold at most `batch` further events; None where another worker is folding this channel now."""
        values = {"tenant": tenant, "name": str(channel), "batch": batch}
        async with self._database.single() as connection:
            row = (await connection.execute(_FOLD, values)).first()
        return Folded(row.folded_seq, row.head_seq) if row else None

    async def behind(self, after: uuid.UUID, *, limit: int, lag: int) -> tuple[Sequence[ChannelKey], uuid.UUID | None]:
        """Look at the next `limit` channels, of all tenants, in the order of their ids.

        Returns:
            those whose fields are more than `lag` events behind the log, and the id to go on after; None where
            there are no further channels.
        """
        async with self._database.single() as connection:
            rows = (await connection.execute(_BEHIND, {"after": after, "limit": limit, "lag": lag})).all()
        keys = [(row.tenant_id, ChannelName.stored(row.channel_name)) for row in rows if row.behind]
        return keys, rows[-1].channel_id if len(rows) == limit else None
