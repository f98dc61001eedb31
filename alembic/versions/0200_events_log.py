"""The specification's log of events."""

from alembic import op

revision = "0200"
down_revision = "0199"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_events_log (
            id UUID PRIMARY KEY,
            tenant_id UUID NOT NULL,
            channel_id UUID REFERENCES realtime_channels(id),
            event_type TEXT NOT NULL,
            event_data JSONB NOT NULL,
            published_at TIMESTAMPTZ DEFAULT NOW()
        )
    """)
    op.execute("CREATE INDEX idx_realtime_events_log_channel ON realtime_events_log (channel_id, published_at)")


def downgrade() -> None:
    op.execute("DROP TABLE realtime_events_log")
