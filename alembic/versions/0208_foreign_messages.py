"""For messages that others publish: which channels stay attached for them, and whose turn it is to record them."""

from alembic import op

revision = "0208"
down_revision = "0207"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE INDEX idx_realtime_channels_inbound ON realtime_channels (tenant_id)
        WHERE config @> '{"inbound": true}'
    """)
    op.execute("""
        CREATE TABLE realtime_leases (
            name TEXT PRIMARY KEY,
            holder TEXT NOT NULL,
            expires_at TIMESTAMPTZ NOT NULL
        )
    """)


def downgrade() -> None:
    op.execute("DROP TABLE realtime_leases")
    op.execute("DROP INDEX idx_realtime_channels_inbound")
