"""Numbers the log: heads, seq, event ids, titles, and the function that appends a group of events.

Events that were there before get their seq in order of time and their row id as event id.
"""

from alembic import op

revision = "0203"
down_revision = "0202"
branch_labels = None
depends_on = None

# One call appends what many callers gathered, in one transaction and one round trip. Locks are taken in
# sorted order (new channels by name, then heads by id), so two groups can never wait for each other.
# Each statement of a volatile function sees what was committed before it began, so after the heads are
# locked nothing can appear on these channels: the look for known ids and the numbering are exact.
# A caller with one conflict is refused whole, the other callers of the group are not.
APPEND = """
CREATE FUNCTION realtime_append(
    callers INTEGER[], tenants UUID[], names TEXT[], types TEXT[], entities UUID[],
    event_ids TEXT[], event_types TEXT[], payloads JSONB[], emitters TEXT[]
) RETURNS TABLE (ordinal BIGINT, epoch UUID, seq BIGINT, published_at TIMESTAMPTZ, verdict TEXT)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    stamp TIMESTAMPTZ;
BEGIN
    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, entity_id, created_at, updated_at)
    SELECT gen_random_uuid(), u.tenant, u.name, u.type, u.entity, now(), now()
    FROM (SELECT DISTINCT tenant, name, type, entity
          FROM unnest(tenants, names, types, entities) AS x (tenant, name, type, entity)) u
    WHERE NOT EXISTS (
        SELECT 1 FROM realtime_channels c WHERE c.tenant_id = u.tenant AND c.channel_name = u.name)
    ORDER BY u.tenant, u.name
    ON CONFLICT (tenant_id, channel_name) DO NOTHING;

    INSERT INTO realtime_channel_heads (channel_id, epoch)
    SELECT c.id, gen_random_uuid()
    FROM realtime_channels c
    JOIN (SELECT DISTINCT tenant, name FROM unnest(tenants, names) AS x (tenant, name)) u
        ON c.tenant_id = u.tenant AND c.channel_name = u.name
    WHERE NOT EXISTS (SELECT 1 FROM realtime_channel_heads h WHERE h.channel_id = c.id)
    ORDER BY c.tenant_id, c.channel_name
    ON CONFLICT (channel_id) DO NOTHING;

    PERFORM 1 FROM realtime_channel_heads h
    WHERE h.channel_id IN (
        SELECT c.id FROM realtime_channels c
        JOIN unnest(tenants, names) AS u (tenant, name) ON c.tenant_id = u.tenant AND c.channel_name = u.name)
    ORDER BY h.channel_id FOR UPDATE;

    stamp := clock_timestamp();

    RETURN QUERY
    WITH item AS (
        SELECT u.ord, u.caller, u.tenant, c.id AS channel, u.event_id, u.event_type, u.payload, u.emitter
        FROM unnest(callers, tenants, names, event_ids, event_types, payloads, emitters) WITH ORDINALITY
            AS u (caller, tenant, name, event_id, event_type, payload, emitter, ord)
        JOIN realtime_channels c ON c.tenant_id = u.tenant AND c.channel_name = u.name
    ), known AS (
        SELECT i.ord, i.caller, e.seq, e.published_at,
               e.event_type = i.event_type AND e.event_data = i.payload AS same
        FROM item i JOIN realtime_events_log e ON e.channel_id = i.channel AND e.event_id = i.event_id
    ), refused AS (
        SELECT DISTINCT caller FROM known WHERE NOT same
    ), fresh AS (
        SELECT i.*, h.last_seq + row_number() OVER (PARTITION BY i.channel ORDER BY i.ord) AS new_seq
        FROM item i JOIN realtime_channel_heads h ON h.channel_id = i.channel
        WHERE NOT EXISTS (SELECT 1 FROM known k WHERE k.ord = i.ord)
          AND NOT EXISTS (SELECT 1 FROM refused r WHERE r.caller = i.caller)
    ), stored AS (
        INSERT INTO realtime_events_log
            (id, tenant_id, channel_id, event_type, event_data, published_at, seq, event_id, emitted_by)
        SELECT gen_random_uuid(), f.tenant, f.channel, f.event_type, f.payload, stamp,
               f.new_seq, f.event_id, f.emitter
        FROM fresh f
    ), moved AS (
        UPDATE realtime_channel_heads h SET last_seq = f.top
        FROM (SELECT channel, max(new_seq) AS top FROM fresh GROUP BY channel) f
        WHERE h.channel_id = f.channel
    ), touched AS (
        UPDATE realtime_channels c SET last_activity_at = stamp, updated_at = stamp
        FROM (SELECT DISTINCT channel FROM fresh) f
        WHERE c.id = f.channel
          AND (c.last_activity_at IS NULL OR c.last_activity_at < stamp - interval '1 second')
    )
    SELECT i.ord, h.epoch, coalesce(f.new_seq, k.seq), coalesce(k.published_at, stamp),
           CASE WHEN k.ord IS NOT NULL AND NOT k.same THEN 'conflict'
                WHEN r.caller IS NOT NULL THEN 'refused'
                WHEN k.ord IS NOT NULL THEN 'duplicate'
                ELSE 'stored' END
    FROM item i
    JOIN realtime_channel_heads h ON h.channel_id = i.channel
    LEFT JOIN fresh f ON f.ord = i.ord
    LEFT JOIN known k ON k.ord = i.ord
    LEFT JOIN refused r ON r.caller = i.caller
    ORDER BY i.ord;
END
$$
"""


def upgrade() -> None:
    op.execute("ALTER TABLE realtime_channels ADD COLUMN title TEXT")
    op.execute("""
        CREATE INDEX idx_realtime_channels_activity ON realtime_channels (tenant_id, last_activity_at DESC)
    """)
    op.execute("""
        CREATE TABLE realtime_channel_heads (
            channel_id UUID PRIMARY KEY REFERENCES realtime_channels(id),
            epoch UUID NOT NULL,
            last_seq BIGINT NOT NULL DEFAULT 0,
            first_seq BIGINT NOT NULL DEFAULT 1,
            published_seq BIGINT NOT NULL DEFAULT 0
        ) WITH (fillfactor = 50)
    """)
    op.execute("""
        ALTER TABLE realtime_events_log
            ADD COLUMN seq BIGINT, ADD COLUMN event_id TEXT, ADD COLUMN emitted_by TEXT
    """)
    op.execute("""
        UPDATE realtime_events_log e SET seq = n.seq, event_id = e.id::text
        FROM (SELECT id, row_number() OVER (PARTITION BY channel_id ORDER BY published_at, id) AS seq
              FROM realtime_events_log WHERE channel_id IS NOT NULL) n
        WHERE e.id = n.id
    """)
    op.execute("""
        INSERT INTO realtime_channel_heads (channel_id, epoch, last_seq, published_seq)
        SELECT channel_id, gen_random_uuid(), max(seq), max(seq)
        FROM realtime_events_log WHERE channel_id IS NOT NULL GROUP BY channel_id
    """)
    op.execute("""
        ALTER TABLE realtime_events_log
            ADD CONSTRAINT realtime_events_log_seq_key UNIQUE (channel_id, seq),
            ADD CONSTRAINT realtime_events_log_event_id_key UNIQUE (channel_id, event_id)
    """)
    op.execute(APPEND)


def downgrade() -> None:
    op.execute("DROP FUNCTION realtime_append")
    op.execute("""
        ALTER TABLE realtime_events_log DROP COLUMN seq, DROP COLUMN event_id, DROP COLUMN emitted_by
    """)
    op.execute("DROP TABLE realtime_channel_heads")
    op.execute("DROP INDEX idx_realtime_channels_activity")
    op.execute("ALTER TABLE realtime_channels DROP COLUMN title")
