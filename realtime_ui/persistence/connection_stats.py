"""Rows of `realtime_connection_stats`, and the workers' leases."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text

from realtime_ui.core.messages import Json
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.times import from_ms, to_ms

LEASE_S = 15.0
"""A worker that has not renewed its lease for so long is dead, and so are its connections."""
BATCH = 2_000

# The subquery sees what was there before the statement: the number of the flush that the table had last.
_KEEP = text("""
    SELECT kept, closing, (SELECT (w.state ->> 'flush')::bigint FROM realtime_workers w WHERE w.id = :worker) AS before
    FROM realtime_keep_stats(
        :worker, :started, cast(:state AS jsonb), :lease_s,
        cast(:ids AS uuid[]), cast(:tenants AS uuid[]), cast(:names AS text[]), cast(:connections AS text[]),
        cast(:infos AS jsonb[]), cast(:openings AS timestamptz[]), cast(:endings AS timestamptz[]),
        cast(:beats AS timestamptz[]), cast(:counts AS integer[]), cast(:latencies AS text[]))
""")
_CLOSE_ALL = text("""
    UPDATE realtime_connection_stats SET disconnected_at = greatest(now(), opened_at)
    WHERE worker = :worker AND disconnected_at IS NULL
""")
_LEAVE = text("DELETE FROM realtime_workers WHERE id = :worker")
_SEEN = text("""
    SELECT s.id, s.connection_id, s.channel_name, s.client_info, s.connected_at, s.disconnected_at,
           s.last_heartbeat_at, s.message_count, s.latencies_ms, count(*) FILTER (WHERE s.disconnected_at IS NULL)
           OVER () AS open
    FROM realtime_connection_stats s
    WHERE s.tenant_id = :tenant AND s.channel_name IS NOT NULL
      AND (s.disconnected_at IS NULL OR s.disconnected_at > now() - make_interval(secs => :gone_s))
      AND (cast(:person AS text) IS NULL OR s.client_info ->> 'person' = :person)
    ORDER BY s.disconnected_at IS NOT NULL, s.connected_at DESC, s.id LIMIT :limit
""")
_CLOSE = text("""
    UPDATE realtime_connection_stats SET closing = true
    WHERE tenant_id = :tenant AND connection_id = :connection AND disconnected_at IS NULL
""")
_WORKERS = text("""
    SELECT id, started_at, seen_at, state FROM realtime_workers
    WHERE seen_at > now() - make_interval(secs => :lease_s) ORDER BY started_at, id
""")
_PRUNE_STATS = text("""
    DELETE FROM realtime_connection_stats WHERE id IN (
        SELECT id FROM realtime_connection_stats
        WHERE disconnected_at < now() - make_interval(secs => :kept_s) LIMIT :batch)
""")


@dataclass(frozen=True, slots=True)
class StatRow:
    """What is to be written of one connection on one channel; times in ms since the Unix epoch."""

    id: uuid.UUID
    tenant: uuid.UUID
    channel: str
    connection: str
    info: Mapping[str, str]
    opened_at: int
    closed_at: int | None
    last_beat_at: int | None
    messages: int
    latencies_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What a flush answered: whether the lease was still there, and whom an admin wants closed.

    `before` is the number of the worker's last flush that the table had.
    """

    lease: bool
    closing: tuple[str, ...]
    before: int | None = None


@dataclass(frozen=True, slots=True)
class SeenConnection:
    """A connection on a channel as the table has it; times in ms since the Unix epoch."""

    id: uuid.UUID
    connection: str
    channel: str
    info: dict[str, str]
    connected_at: int
    closed_at: int | None
    last_beat_at: int | None
    messages: int
    latencies_ms: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A living worker; `state` is what it says of itself."""

    id: str
    started_at: int
    seen_at: int
    state: dict[str, Json]


class ConnectionStatsRepository:
    """Writes and reads them. Each method but `prune` is one statement.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, worker: str, started_at: int, state: Mapping[str, Json], rows: Sequence[StatRow]) -> Kept:
        """Renew a worker's lease, close the rows of workers that died, and write what changed.

        Args:
            worker: its id.
            started_at: when it began, in ms since the Unix epoch.
            state: what it says of itself, with `flush`, the number of this flush.
            rows: each id at most once.

        Raises:
            DatabaseUnavailable: nothing was written, or nobody knows; to write the same again is no harm.
        """
        values = {
            "worker": worker,
            "started": from_ms(started_at),
            "state": json.dumps(state),
            "lease_s": LEASE_S,
            "ids": [row.id for row in rows],
            "tenants": [row.tenant for row in rows],
            "names": [row.channel for row in rows],
            "connections": [row.connection for row in rows],
            "infos": [json.dumps(row.info) for row in rows],
            "openings": [from_ms(row.opened_at) for row in rows],
            "endings": [from_ms(row.closed_at) for row in rows],
            "beats": [from_ms(row.last_beat_at) for row in rows],
            "counts": [row.messages for row in rows],
            "latencies": ["{" + ",".join(map(str, row.latencies_ms)) + "}" for row in rows],
        }
        async with self._database.single() as connection:
            kept, closing, before = (await connection.execute(_KEEP, values)).one()
        return Kept(kept, tuple(closing), before)

    async def close_all(self, worker: str) -> None:
        """Close a worker's rows; those of connections that are open are opened again by the next flush with them."""
        async with self._database.single() as connection:
            await connection.execute(_CLOSE_ALL, {"worker": worker})

    async def leave(self, worker: str) -> None:
        """End a worker's lease; its rows are closed already."""
        async with self._database.single() as connection:
            await connection.execute(_LEAVE, {"worker": worker})

    async def seen(
        self, tenant: uuid.UUID, *, person: uuid.UUID | None, gone_s: float, limit: int
    ) -> tuple[list[SeenConnection], int]:
        """A tenant's connections, open ones first, and how many are open.

        Args:
            tenant: whose.
            person: only this one's, where given.
            gone_s: those that ended within so many seconds are among them.
            limit: at most so many.
        """
        values = {"tenant": tenant, "person": str(person) if person else None, "gone_s": gone_s, "limit": limit}
        async with self._database.single() as connection:
            rows = (await connection.execute(_SEEN, values)).all()
        found = [
            SeenConnection(
                row.id,
                row.connection_id,
                row.channel_name,
                row.client_info or {},
                to_ms(row.connected_at) or 0,
                to_ms(row.disconnected_at),
                to_ms(row.last_heartbeat_at),
                row.message_count or 0,
                tuple(row.latencies_ms),
            )
            for row in rows
        ]
        return found, rows[0].open if rows else 0

    async def ask_to_close(self, tenant: uuid.UUID, connection_id: str) -> bool:
        """Have a connection's worker close it with its next flush; False where no such one is open."""
        async with self._database.single() as connection:
            result = await connection.execute(_CLOSE, {"tenant": tenant, "connection": connection_id})
        return bool(result.rowcount)

    async def workers(self) -> list[WorkerSeen]:
        """Those whose lease has not run out."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_WORKERS, {"lease_s": LEASE_S})).all()
        return [WorkerSeen(row.id, to_ms(row.started_at) or 0, to_ms(row.seen_at) or 0, row.state) for row in rows]

    async def prune(self, kept_s: float) -> int:
        """Delete rows of connections that ended longer ago; returns how many that were."""
        pruned = 0
        while True:
            async with self._database.single() as connection:
                result = await connection.execute(_PRUNE_STATS, {"kept_s": kept_s, "batch": BATCH})
            pruned += result.rowcount
            if result.rowcount < BATCH:
                return pruned
