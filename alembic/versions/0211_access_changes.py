"""What was revoked or changed about people, sessions and keys, so that every worker learns of it within seconds.

Written by triggers, so that it holds for every way of changing the tables.
"""

from alembic import op

revision = "0211"
down_revision = "0210"
branch_labels = None
depends_on = None

UP = (
    """
    CREATE TABLE realtime_access_changes (
        id BIGSERIAL PRIMARY KEY,
        subject UUID NOT NULL,
        changed_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX idx_realtime_access_changes_changed_at ON realtime_access_changes (changed_at)",
    # The argument names the column whose value identifies the principal or the session.
    """
    CREATE FUNCTION realtime_note_access_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO realtime_access_changes (subject) VALUES ((to_jsonb(OLD) ->> TG_ARGV[0])::uuid);
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER realtime_session_ended AFTER DELETE ON sign_in_sessions
    FOR EACH ROW WHEN (OLD.expires_at > now()) EXECUTE FUNCTION realtime_note_access_change('id')
    """,
    """
    CREATE TRIGGER realtime_session_changed AFTER UPDATE ON sign_in_sessions
    FOR EACH ROW EXECUTE FUNCTION realtime_note_access_change('id')
    """,
    """
    CREATE TRIGGER realtime_membership_changed AFTER UPDATE OR DELETE ON memberships
    FOR EACH ROW EXECUTE FUNCTION realtime_note_access_change('person_id')
    """,
    """
    CREATE TRIGGER realtime_person_changed AFTER UPDATE OF name, email ON people
    FOR EACH ROW EXECUTE FUNCTION realtime_note_access_change('id')
    """,
    """
    CREATE TRIGGER realtime_key_changed AFTER UPDATE OR DELETE ON api_keys
    FOR EACH ROW EXECUTE FUNCTION realtime_note_access_change('id')
    """,
)
TRIGGERS = (
    ("realtime_session_ended", "sign_in_sessions"),
    ("realtime_session_changed", "sign_in_sessions"),
    ("realtime_membership_changed", "memberships"),
    ("realtime_person_changed", "people"),
    ("realtime_key_changed", "api_keys"),
)


def upgrade() -> None:
    for statement in UP:
        op.execute(statement)


def downgrade() -> None:
    for trigger, table in TRIGGERS:
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute("DROP FUNCTION realtime_note_access_change()")
    op.execute("DROP TABLE realtime_access_changes")
