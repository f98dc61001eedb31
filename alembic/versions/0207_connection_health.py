"""Who is connected, kept true through deaths: leases of workers, their connections' rows, and samples by the minute.

A worker's flush is one call of `realtime_keep_stats`: it renews the worker's lease, closes the rows of workers
whose lease ran out, and writes what changed of its own connections.
"""

from alembic import op

revision = "0207"
down_revision = "0206"
branch_labels = None
depends_on = None

# Rows are upserted in order of their ids, so that two workers never wait for each other in a circle.
# `opened_at` is a fence: a connection that was resumed elsewhere is that worker's, and what the one before still
# has to say of it comes too late. What the row had counted until then stays, in `counted_before`, so that the
# same count written twice is counted once.
KEEP_STATS = """
CREATE FUNCTION realtime_keep_stats(
    this_worker TEXT, started TIMESTAMPTZ, worker_state JSONB, lease_s FLOAT8,
    ids UUID[], tenants UUID[], names TEXT[], connections TEXT[], infos JSONB[], openings TIMESTAMPTZ[],
    endings TIMESTAMPTZ[], beats TIMESTAMPTZ[], counts INTEGER[], latencies TEXT[]
) RETURNS TABLE (kept BOOLEAN, closing TEXT[])
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    had_lease BOOLEAN;
BEGIN
    INSERT INTO realtime_workers (id, started_at, seen_at, state)
    VALUES (this_worker, started, clock_timestamp(), worker_state)
    ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), state = excluded.state
    RETURNING xmax <> 0 INTO had_lease;

    WITH dead AS (
        DELETE FROM realtime_workers w
        WHERE w.id IN (
            SELECT d.id FROM realtime_workers d
            WHERE d.seen_at < clock_timestamp() - make_interval(secs => lease_s) AND d.id <> this_worker
            FOR UPDATE SKIP LOCKED)
        RETURNING w.id, w.seen_at
    )
    UPDATE realtime_connection_stats s SET disconnected_at = greatest(d.seen_at, s.opened_at)
    FROM dead d WHERE s.worker = d.id AND s.disconnected_at IS NULL;

    INSERT INTO realtime_connection_stats AS s
        (id, tenant_id, channel_id, channel_name, connection_id, client_info, connected_at, opened_at,
         disconnected_at, last_heartbeat_at, message_count, worker, latencies_ms)
    SELECT u.id, u.tenant, c.id, u.name, u.connection, u.info, u.opening, u.opening,
           u.ending, u.beat, u.count, this_worker, u.latencies::integer[]
    FROM unnest(ids, tenants, names, connections, infos, openings, endings, beats, counts, latencies)
        AS u (id, tenant, name, connection, info, opening, ending, beat, count, latencies)
    LEFT JOIN realtime_channels c ON c.tenant_id = u.tenant AND c.channel_name = u.name
    ORDER BY u.id
    ON CONFLICT (id) DO UPDATE SET
        channel_id = coalesce(s.channel_id, excluded.channel_id),
        client_info = excluded.client_info,
        disconnected_at = excluded.disconnected_at,
        last_heartbeat_at = coalesce(excluded.last_heartbeat_at, s.last_heartbeat_at),
        counted_before = CASE WHEN s.opened_at = excluded.opened_at THEN s.counted_before ELSE s.message_count END,
        message_count = excluded.message_count
            + CASE WHEN s.opened_at = excluded.opened_at THEN s.counted_before ELSE s.message_count END,
        closing = s.closing AND s.opened_at = excluded.opened_at,
        opened_at = excluded.opened_at,
        worker = excluded.worker,
        latencies_ms = excluded.latencies_ms
    WHERE s.opened_at <= excluded.opened_at;

    RETURN QUERY
    SELECT had_lease, coalesce(array_agg(DISTINCT s.connection_id), '{}')
    FROM realtime_connection_stats s
    WHERE s.worker = this_worker AND s.disconnected_at IS NULL AND s.closing;
END
$$
"""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_workers (
            id TEXT PRIMARY KEY,
            started_at TIMESTAMPTZ NOT NULL,
            seen_at TIMESTAMPTZ NOT NULL,
            state JSONB NOT NULL
        )
    """)
    op.execute("""
        ALTER TABLE realtime_connection_stats
            ADD COLUMN channel_name TEXT,
            ADD COLUMN worker TEXT,
            ADD COLUMN opened_at TIMESTAMPTZ,
            ADD COLUMN counted_before INTEGER NOT NULL DEFAULT 0,
            ADD COLUMN latencies_ms INTEGER[] NOT NULL DEFAULT '{}',
            ADD COLUMN closing BOOLEAN NOT NULL DEFAULT false
    """)
    # Nobody owns the rows that were there before: whatever wrote them has ended.
    op.execute("""
        UPDATE realtime_connection_stats
        SET disconnected_at = coalesce(disconnected_at, last_heartbeat_at, connected_at, now()),
            opened_at = coalesce(connected_at, created_at, now())
    """)
    op.execute("""
        CREATE INDEX idx_realtime_connection_stats_tenant
        ON realtime_connection_stats (tenant_id, disconnected_at)
    """)
    op.execute("""
        CREATE INDEX idx_realtime_connection_stats_worker
        ON realtime_connection_stats (worker) WHERE disconnected_at IS NULL
    """)
    op.execute("""
        CREATE INDEX idx_realtime_connection_stats_gone
        ON realtime_connection_stats (disconnected_at) WHERE disconnected_at IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE realtime_health_samples (
            worker TEXT NOT NULL,
            minute TIMESTAMPTZ NOT NULL,
            sockets INTEGER NOT NULL,
            streams INTEGER NOT NULL,
            stale INTEGER NOT NULL,
            hub_lag_ms INTEGER NOT NULL,
            refused INTEGER NOT NULL,
            dropped INTEGER NOT NULL,
            PRIMARY KEY (minute, worker)
        )
    """)
    op.execute("""
        CREATE TABLE realtime_traffic_samples (
            worker TEXT NOT NULL,
            minute TIMESTAMPTZ NOT NULL,
            tenant_id UUID NOT NULL,
            channel_type TEXT NOT NULL,
            connections INTEGER NOT NULL,
            messages INTEGER NOT NULL,
            latency_p50_ms INTEGER,
            latency_p95_ms INTEGER,
            missed INTEGER NOT NULL,
            PRIMARY KEY (minute, tenant_id, channel_type, worker)
        )
    """)
    op.execute(KEEP_STATS)


def downgrade() -> None:
    op.execute("DROP FUNCTION realtime_keep_stats")
    op.execute("DROP TABLE realtime_traffic_samples")
    op.execute("DROP TABLE realtime_health_samples")
    op.execute("DROP INDEX idx_realtime_connection_stats_gone")
    op.execute("DROP INDEX idx_realtime_connection_stats_worker")
    op.execute("DROP INDEX idx_realtime_connection_stats_tenant")
    op.execute("""
        ALTER TABLE realtime_connection_stats
            DROP COLUMN channel_name, DROP COLUMN worker, DROP COLUMN opened_at,
            DROP COLUMN counted_before, DROP COLUMN latencies_ms, DROP COLUMN closing
    """)
    op.execute("DROP TABLE realtime_workers")
