"""The specification's connection statistics."""

from alembic import op

revision = "0201"
down_revision = "0200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_connection_stats (
            id UUID PRIMARY KEY,
            tenant_id UUID NOT NULL,
            channel_id UUID REFERENCES realtime_channels(id),
            connection_id TEXT NOT NULL,
            client_info JSONB,
            connected_at TIMESTAMPTZ DEFAULT NOW(),
            disconnected_at TIMESTAMPTZ,
            last_heartbeat_at TIMESTAMPTZ,
            message_count INTEGER DEFAULT 0,
            created_at TIMESTAMPTZ DEFAULT NOW()
        )
    """)
    op.execute("""
        CREATE INDEX idx_realtime_connection_stats_active
        ON realtime_connection_stats (disconnected_at) WHERE disconnected_at IS NULL
    """)


def downgrade() -> None:
    op.execute("DROP TABLE realtime_connection_stats")
