"""The samples that charts are drawn from: a row a worker and minute, and one a worker, minute, tenant and type."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text

from realtime_ui.core.messages import Json
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.times import from_ms, to_ms

KEPT_S = 48 * 3600

_SAMPLE = text("""
    WITH worker AS (
        INSERT INTO realtime_health_samples
            (worker, minute, sockets, streams, stale, hub_lag_ms, refused, dropped)
        VALUES (:worker, :minute, :sockets, :streams, :stale, :hub_lag_ms, :refused, :dropped)
        ON CONFLICT DO NOTHING
    )
    INSERT INTO realtime_traffic_samples
        (worker, minute, tenant_id, channel_type, connections, messages, latency_p50_ms, latency_p95_ms, missed)
    SELECT :worker, :minute, u.* FROM unnest(
        cast(:tenants AS uuid[]), cast(:types AS text[]), cast(:connections AS integer[]),
        cast(:messages AS integer[]), cast(:p50 AS integer[]), cast(:p95 AS integer[]), cast(:missed AS integer[])) AS u
    ON CONFLICT DO NOTHING
""")
_HEALTH = text("""
    SELECT minute, sum(sockets) AS sockets, sum(streams) AS streams, sum(stale) AS stale,
           max(hub_lag_ms) AS hub_lag_ms, sum(refused) AS refused, sum(dropped) AS dropped
    FROM realtime_health_samples WHERE minute > now() - interval '61 minutes'
    GROUP BY minute ORDER BY minute
""")
# Of several workers: the middle latency by weight of their connections, and the worst of the high ones.
_TRAFFIC = text("""
    SELECT minute, channel_type, sum(connections) AS connections, sum(messages) AS messages, sum(missed) AS missed,
           round(sum(latency_p50_ms * connections)::numeric
                 / nullif(sum(connections) FILTER (WHERE latency_p50_ms IS NOT NULL), 0)) AS p50,
           max(latency_p95_ms) AS p95
    FROM realtime_traffic_samples WHERE tenant_id = :tenant AND minute > now() - interval '61 minutes'
    GROUP BY minute, channel_type ORDER BY minute
""")
_PRUNE_HEALTH = text("DELETE FROM realtime_health_samples WHERE minute < now() - make_interval(secs => :kept_s)")
_PRUNE_TRAFFIC = text("DELETE FROM realtime_traffic_samples WHERE minute < now() - make_interval(secs => :kept_s)")


@dataclass(frozen=True, slots=True)
class WorkerSample:
    """How a worker did in a minute."""

    sockets: int
    streams: int
    stale: int
    hub_lag_ms: int
    refused: int
    dropped: int


@dataclass(frozen=True, slots=True)
class TrafficSample:
    """What a tenant's connections on one channel type had in a minute."""

    tenant: uuid.UUID
    type: str
    connections: int
    messages: int
    p50_ms: int | None
    p95_ms: int | None
    missed: int


class HealthSampleRepository:
    """Adds, reads and prunes samples.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, worker: str, minute: int, own: WorkerSample, traffic: Sequence[TrafficSample]) -> None:
        """Keep what a minute was like; `minute` in ms since the Unix epoch."""
        values = {
            "worker": worker,
            "minute": from_ms(minute),
            "sockets": own.sockets,
            "streams": own.streams,
            "stale": own.stale,
            "hub_lag_ms": own.hub_lag_ms,
            "refused": own.refused,
            "dropped": own.dropped,
            "tenants": [each.tenant for each in traffic],
            "types": [each.type for each in traffic],
            "connections": [each.connections for each in traffic],
            "messages": [each.messages for each in traffic],
            "p50": [each.p50_ms for each in traffic],
            "p95": [each.p95_ms for each in traffic],
            "missed": [each.missed for each in traffic],
        }
        async with self._database.single() as connection:
            await connection.execute(_SAMPLE, values)

    async def last_hour(self) -> list[dict[str, Json]]:
        """All workers together, minute by minute."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_HEALTH)).mappings().all()
        return [{**row, "minute": to_ms(row["minute"])} for row in rows]

    async def traffic_of_last_hour(self, tenant: uuid.UUID) -> list[dict[str, Json]]:
        """A tenant's connections by channel type, minute by minute."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_TRAFFIC, {"tenant": tenant})).mappings().all()
        return [
            {**row, "minute": to_ms(row["minute"]), "p50": None if row["p50"] is None else int(row["p50"])}
            for row in rows
        ]

    async def prune(self) -> None:
        """Delete those that are too old."""
        for statement in (_PRUNE_HEALTH, _PRUNE_TRAFFIC):
            async with self._database.single() as connection:
                await connection.execute(statement, {"kept_s": KEPT_S})
