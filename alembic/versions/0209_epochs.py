"""A log that goes back begins a new epoch, once, whoever notices; and no number passes what JavaScript can count.

`realtime_row_tag` is `row_tag` of realtime_ui/core/messages.py: 16 hexadecimal digits that identify a row by its event
id and its time in ms. The time is rounded as Python does it there, half to even.
"""

from alembic import op

revision = "0209"
down_revision = "0211"
branch_labels = None
depends_on = None

ROW_TAG = """
CREATE FUNCTION realtime_row_tag(event_id TEXT, published_at TIMESTAMPTZ) RETURNS TEXT
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT left(encode(sha256(convert_to(
        round(extract(epoch FROM published_at)::float8 * 1000)::bigint || ':' || event_id, 'UTF8')), 'hex'), 16)
$$
"""

# A compare-and-set on the epoch. What is compared besides, under the head's lock and on the server that takes the
# write, is the position that the caller found contradicted: had it asked a server that lagged behind, nothing
# happens here. A row that is no longer kept contradicts nothing.
BEGIN_EPOCH = """
CREATE FUNCTION realtime_begin_epoch(
    of_tenant UUID, of_channel TEXT, in_epoch UUID, known_seq BIGINT, known_tag TEXT
) RETURNS BOOLEAN
LANGUAGE plpgsql AS $$
DECLARE
    head realtime_channel_heads;
    tag TEXT;
BEGIN
    SELECT h.* INTO head
    FROM realtime_channel_heads h JOIN realtime_channels c ON c.id = h.channel_id
    WHERE c.tenant_id = of_tenant AND c.channel_name = of_channel
    FOR UPDATE OF h;
    IF NOT FOUND OR head.epoch <> in_epoch THEN
        RETURN false;
    END IF;
    IF known_seq <= head.last_seq THEN
        SELECT realtime_row_tag(e.event_id, e.published_at) INTO tag
        FROM realtime_events_log e WHERE e.channel_id = head.channel_id AND e.seq = known_seq;
        IF NOT FOUND OR known_tag = '' OR tag = known_tag THEN
            RETURN false;
        END IF;
    END IF;
    UPDATE realtime_channel_heads h SET epoch = gen_random_uuid() WHERE h.channel_id = head.channel_id;
    RETURN true;
END
$$
"""


def upgrade() -> None:
    op.execute(ROW_TAG)
    op.execute(BEGIN_EPOCH)
    op.execute("""
        ALTER TABLE realtime_channel_heads
            ADD CONSTRAINT realtime_channel_heads_last_seq_check CHECK (last_seq <= 9007199254740991)
    """)


def downgrade() -> None:
    op.execute("ALTER TABLE realtime_channel_heads DROP CONSTRAINT realtime_channel_heads_last_seq_check")
    op.execute("DROP FUNCTION realtime_begin_epoch")
    op.execute("DROP FUNCTION realtime_row_tag")
