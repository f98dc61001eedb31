"""Keeps the current fields of each channel, so that reading them does not read the log.

`realtime_channel_fields` (revision 0206) stays what it is: what the pruned messages said. The current fields are
folded from the log, and from that table where the log was pruned first, by workers that trail the log; the row in
`realtime_field_folds` says up to which seq, and in which epoch. Fields that were folded in another epoch, or beyond
the head, are folded anew. Nothing is folded here: a log of any size would keep the upgrade waiting.
"""

from alembic import context, op

revision = "0210"
down_revision = "0208"
branch_labels = None
depends_on = None

# A value beyond 4,096 bytes is kept as the first 1,000 characters of its JSON, with its whole size beside it. A name
# beyond 1,000 bytes does not fit into the key's index. Of a channel's fields the 1,000 that were set last are kept.
CHANGES = """
CREATE FUNCTION realtime_changes(data JSONB) RETURNS TABLE (field TEXT, value JSONB, bytes INTEGER)
LANGUAGE sql IMMUTABLE AS $$
    SELECT x.key,
           CASE WHEN t.size > 4096 THEN to_jsonb(left(t.json, 1000)) ELSE x.value END,
           CASE WHEN t.size > 4096 THEN t.size END
    FROM jsonb_each(CASE WHEN jsonb_typeof(data -> 'changes') = 'object' THEN data -> 'changes' ELSE '{}' END) AS x
    CROSS JOIN LATERAL (SELECT x.value::text AS json, octet_length(x.value::text) AS size) AS t
    WHERE octet_length(x.key) <= 1000
$$
"""

# The fold's row is locked before the head is read, so the head is never older than what another worker folded. The
# pruned fields are read after the log: what is pruned in between is found in one of the two.
FOLD = """
CREATE FUNCTION realtime_fold_fields(channel UUID, batch INTEGER)
RETURNS TABLE (folded_seq BIGINT, head_seq BIGINT)
LANGUAGE plpgsql AS $$
DECLARE
    fold realtime_field_folds;
    head realtime_channel_heads;
    top BIGINT;
BEGIN
    -- Only where there is no row: on one that is being changed, ON CONFLICT would wait.
    INSERT INTO realtime_field_folds (channel_id, epoch)
    SELECT h.channel_id, h.epoch FROM realtime_channel_heads h
    WHERE h.channel_id = channel
      AND NOT EXISTS (SELECT 1 FROM realtime_field_folds f WHERE f.channel_id = channel)
    ON CONFLICT (channel_id) DO NOTHING;

    SELECT * INTO fold FROM realtime_field_folds f WHERE f.channel_id = channel FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;

    SELECT * INTO head FROM realtime_channel_heads h WHERE h.channel_id = channel;
    IF fold.epoch <> head.epoch OR fold.seq > head.last_seq THEN
        DELETE FROM realtime_current_fields k WHERE k.channel_id = channel;
        fold.epoch := head.epoch;
        fold.seq := 0;
        fold.more := false;
    END IF;

    top := least(head.last_seq, greatest(fold.seq, head.first_seq - 1) + batch);
    INSERT INTO realtime_current_fields AS kept (channel_id, field, value, seq, bytes)
    SELECT DISTINCT ON (x.field) channel, x.field, x.value, e.seq, x.bytes
    FROM realtime_events_log e CROSS JOIN LATERAL realtime_changes(e.event_data) AS x
    WHERE e.channel_id = channel AND e.seq > fold.seq AND e.seq <= top
    ORDER BY x.field, e.seq DESC
    ON CONFLICT (channel_id, field) DO UPDATE
    SET value = excluded.value, seq = excluded.seq, bytes = excluded.bytes WHERE kept.seq < excluded.seq;

    IF (SELECT h.first_seq FROM realtime_channel_heads h WHERE h.channel_id = channel) > fold.seq + 1 THEN
        INSERT INTO realtime_current_fields AS kept (channel_id, field, value, seq, bytes)
        SELECT p.channel_id, p.field, p.value, p.seq, p.bytes
        FROM realtime_channel_fields p WHERE p.channel_id = channel AND p.seq > fold.seq
        ON CONFLICT (channel_id, field) DO UPDATE
        SET value = excluded.value, seq = excluded.seq, bytes = excluded.bytes WHERE kept.seq < excluded.seq;
    END IF;

    DELETE FROM realtime_current_fields k
    WHERE k.channel_id = channel AND k.field IN (
        SELECT l.field FROM realtime_current_fields l WHERE l.channel_id = channel
        ORDER BY l.seq DESC, l.field OFFSET 1000);

    UPDATE realtime_field_folds f
    SET epoch = fold.epoch, seq = top, more = fold.more OR FOUND WHERE f.channel_id = channel;
    RETURN QUERY SELECT top, head.last_seq;
END
$$
"""

# As in revision 0206, but for the bounds.
PRUNE = """
CREATE OR REPLACE FUNCTION realtime_prune(channel UUID, cutoff TIMESTAMPTZ, batch INTEGER) RETURNS INTEGER
LANGUAGE plpgsql AS $$
DECLARE
    begin_seq BIGINT;
    end_seq BIGINT;
    pruned INTEGER;
BEGIN
    SELECT h.first_seq INTO begin_seq FROM realtime_channel_heads h WHERE h.channel_id = channel FOR UPDATE;

    SELECT coalesce(min(e.seq) FILTER (WHERE e.published_at >= cutoff) - 1, max(e.seq)) INTO end_seq
    FROM (SELECT l.seq, l.published_at FROM realtime_events_log l
          WHERE l.channel_id = channel AND l.seq >= begin_seq ORDER BY l.seq LIMIT batch) e;

    WITH gone AS (
        DELETE FROM realtime_events_log e
        WHERE e.channel_id = channel AND e.seq BETWEEN begin_seq AND end_seq
        RETURNING e.seq, e.event_data
    ), folded AS (
        INSERT INTO realtime_channel_fields AS kept (channel_id, field, value, seq, bytes)
        SELECT DISTINCT ON (x.field) channel, x.field, x.value, g.seq, x.bytes
        FROM gone g CROSS JOIN LATERAL realtime_changes(g.event_data) AS x
        ORDER BY x.field, g.seq DESC
        ON CONFLICT (channel_id, field) DO UPDATE
        SET value = excluded.value, seq = excluded.seq, bytes = excluded.bytes WHERE kept.seq < excluded.seq
    )
    SELECT count(*) INTO pruned FROM gone;

    IF pruned > 0 THEN
        DELETE FROM realtime_channel_fields k
        WHERE k.channel_id = channel AND k.field IN (
            SELECT l.field FROM realtime_channel_fields l WHERE l.channel_id = channel
            ORDER BY l.seq DESC, l.field OFFSET 1000);

        UPDATE realtime_channel_heads h
        SET first_seq = end_seq + 1,
            published_seq = greatest(h.published_seq, end_seq),
            published_runs = h.published_runs - int8multirange(int8range(0, end_seq + 1))
        WHERE h.channel_id = channel;
    END IF;
    RETURN pruned;
END
$$
"""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_current_fields (
            channel_id UUID NOT NULL REFERENCES realtime_channels(id),
            field TEXT NOT NULL,
            value JSONB NOT NULL,
            seq BIGINT NOT NULL,
            bytes INTEGER,
            PRIMARY KEY (channel_id, field)
        )
    """)
    op.execute("""
        CREATE TABLE realtime_field_folds (
            channel_id UUID PRIMARY KEY REFERENCES realtime_channels(id),
            epoch UUID NOT NULL,
            seq BIGINT NOT NULL DEFAULT 0,
            more BOOLEAN NOT NULL DEFAULT false
        )
    """)
    op.execute("ALTER TABLE realtime_channel_fields ADD COLUMN bytes INTEGER")
    op.execute(CHANGES)
    op.execute(FOLD)
    op.execute(PRUNE)


def downgrade() -> None:
    op.execute("DROP FUNCTION realtime_fold_fields")
    op.execute("DROP FUNCTION realtime_prune")
    op.execute(context.script.get_revision("0206").module.PRUNE)
    op.execute("DROP FUNCTION realtime_changes")
    op.execute("ALTER TABLE realtime_channel_fields DROP COLUMN bytes")
    op.execute("DROP TABLE realtime_field_folds")
    op.execute("DROP TABLE realtime_current_fields")
