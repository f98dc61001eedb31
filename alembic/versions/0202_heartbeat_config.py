"""The specification's heartbeat configuration, with its default rows."""

from alembic import op

revision = "0202"
down_revision = "0201"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE realtime_heartbeat_config (
            id UUID PRIMARY KEY,
            channel_type TEXT UNIQUE CHECK (channel_type IN (
                'project', 'session', 'organization', 'user', 'system'
            )),
            heartbeat_interval_ms INTEGER DEFAULT 30000,
            timeout_ms INTEGER DEFAULT 90000,
            created_at TIMESTAMPTZ,
            updated_at TIMESTAMPTZ
        )
    """)
    op.execute("""
        INSERT INTO realtime_heartbeat_config
            (id, channel_type, heartbeat_interval_ms, timeout_ms, created_at, updated_at)
        VALUES
            (gen_random_uuid(), 'project', 30000, 90000, now(), now()),
            (gen_random_uuid(), 'session', 30000, 90000, now(), now()),
            (gen_random_uuid(), 'organization', 60000, 180000, now(), now()),
            (gen_random_uuid(), 'user', 30000, 90000, now(), now()),
            (gen_random_uuid(), 'system', 60000, 180000, now(), now())
    """)


def downgrade() -> None:
    op.execute("DROP TABLE realtime_heartbeat_config")
