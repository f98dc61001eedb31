"""The specification's channel registry."""

from alembic import op

revision = "0199"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_channels (
            id UUID PRIMARY KEY,
            tenant_id UUID NOT NULL,
            channel_name TEXT NOT NULL,
            channel_type TEXT CHECK (channel_type IN (
                'project', 'session', 'organization', 'user', 'system'
            )),
            entity_id UUID,
            config JSONB DEFAULT '{}',
            is_active BOOLEAN DEFAULT true,
            last_activity_at TIMESTAMPTZ,
            created_at TIMESTAMPTZ,
            updated_at TIMESTAMPTZ
        )
    """)
    op.execute("CREATE UNIQUE INDEX idx_realtime_channels_name ON realtime_channels (tenant_id, channel_name)")


def downgrade() -> None:
    op.execute("DROP TABLE realtime_channels")
