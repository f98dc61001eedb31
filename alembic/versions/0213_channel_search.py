"""Makes a tenant's channels searchable by the words of title and id, and listable page by page.

The words stand in a table of their own: every append touches its channel's row, which would rewrite each index on it.
They hold the tenant and the type as words of their own kind too, so that the index finds a tenant's channels alone.
`renamed_at` is when a title was last set, so that open pages hear of it.
"""

from alembic import op

revision = "0213"
down_revision = "0209"
branch_labels = None
depends_on = None

# `=…` is the tenant; no word of a text begins with that sign.
SEARCH = r"""
CREATE FUNCTION realtime_words(given TEXT) RETURNS TEXT[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN array_remove(regexp_split_to_array(lower(given), '[^[:alnum:]]+'), '');
END
$$;

CREATE FUNCTION realtime_channel_words(tenant UUID, name TEXT, title TEXT) RETURNS TSVECTOR
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN array_to_tsvector(
        realtime_words(coalesce(title, '') || ' ' || substr(name, strpos(name, ':') + 1)) || ('=' || tenant));
END
$$;

CREATE FUNCTION realtime_index_channel() RETURNS TRIGGER LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO realtime_channel_search (channel_id, tenant_id, words, renamed_at)
    VALUES (NEW.id, NEW.tenant_id, realtime_channel_words(NEW.tenant_id, NEW.channel_name, NEW.title),
            CASE WHEN TG_OP = 'UPDATE' OR NEW.title IS NOT NULL THEN clock_timestamp() END)
    ON CONFLICT (channel_id) DO UPDATE SET words = excluded.words, renamed_at = excluded.renamed_at;
    RETURN NULL;
END
$$;

CREATE TRIGGER realtime_channels_search AFTER INSERT OR UPDATE OF title ON realtime_channels
FOR EACH ROW EXECUTE FUNCTION realtime_index_channel();
"""


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_channel_search (
            channel_id UUID PRIMARY KEY REFERENCES realtime_channels(id),
            tenant_id UUID NOT NULL,
            words TSVECTOR NOT NULL,
            renamed_at TIMESTAMPTZ
        )
    """)
    op.execute("""
        CREATE INDEX idx_realtime_channel_search_words ON realtime_channel_search USING gin (words)
        WITH (gin_pending_list_limit = 256)
    """)
    op.execute("""
        CREATE INDEX idx_realtime_channel_search_renamed ON realtime_channel_search (renamed_at)
        WHERE renamed_at IS NOT NULL
    """)
    op.execute("""
        UPDATE realtime_channels SET created_at = coalesce(updated_at, now())
        WHERE created_at IS NULL AND last_activity_at IS NULL
    """)
    op.execute("""
        CREATE INDEX idx_realtime_channels_listed ON realtime_channels (
            tenant_id, channel_type, coalesce(last_activity_at, created_at) DESC, channel_name DESC)
    """)
    op.execute("DROP INDEX idx_realtime_channels_activity")
    for statement in SEARCH.strip().split(";\n\n"):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER realtime_channels_search ON realtime_channels")
    op.execute("DROP FUNCTION realtime_index_channel")
    op.execute("DROP FUNCTION realtime_channel_words")
    op.execute("DROP FUNCTION realtime_words")
    op.execute("CREATE INDEX idx_realtime_channels_activity ON realtime_channels (tenant_id, last_activity_at DESC)")
    op.execute("DROP INDEX idx_realtime_channels_listed")
    op.execute("DROP TABLE realtime_channel_search")
