"""Counts each tenant's channels, so that their number can be bounded without counting at every append.

The bound is a setting of whoever connects, `realtime.channels_per_tenant`; without it there is none.
"""

import runpy
from pathlib import Path

from alembic import op

revision = "0212"
down_revision = "0214"
branch_labels = None
depends_on = None

COUNT = """
CREATE FUNCTION realtime_count_channels() RETURNS TRIGGER
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO realtime_tenant_channels AS t (tenant_id, channels)
    SELECT x.tenant_id, CASE TG_OP WHEN 'DELETE' THEN -count(*) ELSE count(*) END
    FROM changed x GROUP BY x.tenant_id ORDER BY x.tenant_id
    ON CONFLICT (tenant_id) DO UPDATE SET channels = t.channels + excluded.channels;
    RETURN NULL;
END
$$
"""

# Makes the channels that are new, the first ones of each tenant up to its bound; returns whether all are there now.
# Counters are locked before, in sorted order, and looked at again then: so two groups never make one too many, and
# never wait for each other in a circle. Who has nothing new to make locks nothing.
MAKE = """
CREATE FUNCTION realtime_make_channels(tenants UUID[], names TEXT[], types TEXT[], entities UUID[]) RETURNS BOOLEAN
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    most BIGINT := nullif(current_setting('realtime.channels_per_tenant', true), '')::bigint;
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM unnest(tenants, names) AS u (tenant, name)
        WHERE NOT EXISTS (
            SELECT 1 FROM realtime_channels c WHERE c.tenant_id = u.tenant AND c.channel_name = u.name)) THEN
        RETURN true;
    END IF;

    INSERT INTO realtime_tenant_channels (tenant_id, channels)
    SELECT DISTINCT u.tenant, 0 FROM unnest(tenants) AS u (tenant) ORDER BY u.tenant
    ON CONFLICT (tenant_id) DO NOTHING;

    PERFORM 1 FROM realtime_tenant_channels t WHERE t.tenant_id = ANY (tenants) ORDER BY t.tenant_id FOR UPDATE;

    INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type, entity_id, created_at, updated_at)
    SELECT gen_random_uuid(), n.tenant, n.name, n.type, n.entity, now(), now()
    FROM (SELECT u.tenant, u.name, u.type, u.entity,
                 row_number() OVER (PARTITION BY u.tenant ORDER BY min(u.ord)) AS place
          FROM unnest(tenants, names, types, entities) WITH ORDINALITY AS u (tenant, name, type, entity, ord)
          WHERE NOT EXISTS (
              SELECT 1 FROM realtime_channels c WHERE c.tenant_id = u.tenant AND c.channel_name = u.name)
          GROUP BY u.tenant, u.name, u.type, u.entity) n
    JOIN realtime_tenant_channels t ON t.tenant_id = n.tenant
    WHERE most IS NULL OR t.channels + n.place <= most
    ORDER BY n.tenant, n.name
    ON CONFLICT (tenant_id, channel_name) DO NOTHING;

    RETURN NOT EXISTS (
        SELECT 1 FROM unnest(tenants, names) AS u (tenant, name)
        WHERE NOT EXISTS (
            SELECT 1 FROM realtime_channels c WHERE c.tenant_id = u.tenant AND c.channel_name = u.name));
END
$$
"""


# As revision 0203 made it, but for the channels. Where one could not be made, every caller that needs it is refused
# whole, as by a conflict, and the others are appended by a call of their own.
APPEND = """
CREATE OR REPLACE FUNCTION realtime_append(
    callers INTEGER[], tenants UUID[], names TEXT[], types TEXT[], entities UUID[],
    event_ids TEXT[], event_types TEXT[], payloads JSONB[], emitters TEXT[]
) RETURNS TABLE (ordinal BIGINT, epoch UUID, seq BIGINT, published_at TIMESTAMPTZ, verdict TEXT)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    stamp TIMESTAMPTZ;
BEGIN
    IF NOT realtime_make_channels(tenants, names, types, entities) THEN
        RETURN QUERY
        WITH entry AS (
            SELECT u.*, c.id IS NULL AS missing
            FROM unnest(callers, tenants, names, types, entities, event_ids, event_types, payloads, emitters)
                WITH ORDINALITY AS u (caller, tenant, name, type, entity, event_id, event_type, payload, emitter, ord)
            LEFT JOIN realtime_channels c ON c.tenant_id = u.tenant AND c.channel_name = u.name
        ), kept AS (
            SELECT e.*, row_number() OVER (ORDER BY e.ord) AS place FROM entry e
            WHERE NOT EXISTS (SELECT 1 FROM entry m WHERE m.missing AND m.caller = e.caller)
        ), done AS (
            SELECT a.* FROM (
                SELECT array_agg(k.caller ORDER BY k.ord) AS callers, array_agg(k.tenant ORDER BY k.ord) AS tenants,
                       array_agg(k.name ORDER BY k.ord) AS names, array_agg(k.type ORDER BY k.ord) AS types,
                       array_agg(k.entity ORDER BY k.ord) AS entities,
                       array_agg(k.event_id ORDER BY k.ord) AS event_ids,
                       array_agg(k.event_type ORDER BY k.ord) AS event_types,
                       array_agg(k.payload ORDER BY k.ord) AS payloads,
                       array_agg(k.emitter ORDER BY k.ord) AS emitters
                FROM kept k HAVING count(*) > 0) k
            CROSS JOIN LATERAL realtime_append(k.callers, k.tenants, k.names, k.types, k.entities, k.event_ids,
                                               k.event_types, k.payloads, k.emitters) a
        )
        SELECT e.ord, d.epoch, d.seq, d.published_at,
               CASE WHEN e.missing THEN 'full' ELSE coalesce(d.verdict, 'refused') END
        FROM entry e LEFT JOIN kept k ON k.ord = e.ord LEFT JOIN done d ON d.ordinal = k.place
        ORDER BY e.ord;
        RETURN;
    END IF;

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


def append_before() -> str:
    """`realtime_append` as revision 0203 made it."""
    text: str = runpy.run_path(str(Path(__file__).with_name("0203_sequences.py")))["APPEND"]
    return text


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_tenant_channels (
            tenant_id UUID PRIMARY KEY,
            channels BIGINT NOT NULL
        ) WITH (fillfactor = 50)
    """)
    op.execute("LOCK TABLE realtime_channels IN SHARE ROW EXCLUSIVE MODE")
    op.execute("""
        INSERT INTO realtime_tenant_channels (tenant_id, channels)
        SELECT tenant_id, count(*) FROM realtime_channels GROUP BY tenant_id
    """)
    op.execute(COUNT)
    for event, rows in (("INSERT", "NEW"), ("DELETE", "OLD")):
        op.execute(f"""
            CREATE TRIGGER realtime_channels_counted_{event.lower()} AFTER {event} ON realtime_channels
            REFERENCING {rows} TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION realtime_count_channels()
        """)
    op.execute(MAKE)
    op.execute(APPEND)


def downgrade() -> None:
    op.execute(append_before().replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION"))
    op.execute("DROP FUNCTION realtime_make_channels")
    op.execute("DROP TRIGGER realtime_channels_counted_insert ON realtime_channels")
    op.execute("DROP TRIGGER realtime_channels_counted_delete ON realtime_channels")
    op.execute("DROP FUNCTION realtime_count_channels")
    op.execute("DROP TABLE realtime_tenant_channels")
