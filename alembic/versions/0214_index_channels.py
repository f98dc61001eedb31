"""Makes the channels searchable that were there before revision 0213, in a transaction that blocks no append."""

from alembic import op

revision = "0214"
down_revision = "0213"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        INSERT INTO realtime_channel_search (channel_id, tenant_id, words)
        SELECT c.id, c.tenant_id, realtime_channel_words(c.tenant_id, c.channel_name, c.title) FROM realtime_channels c
        ON CONFLICT (channel_id) DO NOTHING
    """)


def downgrade() -> None:
    pass  # revision 0213 drops the table
