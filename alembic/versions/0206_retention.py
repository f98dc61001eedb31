"""Lets a channel's oldest messages go, and keeps what their `changes` said of its fields."""

from alembic import op

revision = "0206"
down_revision = "0205"
branch_labels = None
depends_on = None

# One call deletes one small batch from the log's beginning, in one transaction with the head. It waits for the
# head's lock as an append does: skipping a locked head would never get at a channel that is busy all the time.
# It ends before the first row that is not old enough, so what is left is always first_seq … last_seq whole.
# A field's name beyond 1,000 bytes does not fit into the key's index; nobody's is, and one that were so would
# otherwise keep its channel from ever being pruned.
PRUNE = """
CREATE FUNCTION realtime_prune(channel UUID, cutoff TIMESTAMPTZ, batch INTEGER) RETURNS INTEGER
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
        INSERT INTO realtime_channel_fields AS kept (channel_id, field, value, seq)
        SELECT DISTINCT ON (f.key) channel, f.key, f.value, g.seq
        FROM gone g,
        LATERAL jsonb_each(CASE WHEN jsonb_typeof(g.event_data -> 'changes') = 'object'
                                THEN g.event_data -> 'changes' ELSE '{}'::jsonb END) AS f
        WHERE octet_length(f.key) <= 1000
        ORDER BY f.key, g.seq DESC
        ON CONFLICT (channel_id, field) DO UPDATE SET value = excluded.value, seq = excluded.seq
        WHERE kept.seq < excluded.seq
    )
    SELECT count(*) INTO pruned FROM gone;

    IF pruned > 0 THEN
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
        CREATE TABLE realtime_channel_fields (
            channel_id UUID NOT NULL REFERENCES realtime_channels(id),
            field TEXT NOT NULL,
            value JSONB NOT NULL,
            seq BIGINT NOT NULL,
            PRIMARY KEY (channel_id, field)
        )
    """)
    op.execute(PRUNE)


def downgrade() -> None:
    op.execute("DROP FUNCTION realtime_prune")
    op.execute("DROP TABLE realtime_channel_fields")
