"""Migrations: up, down, nothing forgotten, nothing lost; and the specification's tables to the letter."""

from typing import Any

import sqlalchemy as sa
from alembic.script import ScriptDirectory

from alembic import command
from realtime_ui.persistence.migrate import alembic_config, upgrade

SPECIFIED = {
    "realtime_channels": {
        "id": ("uuid", False, None),
        "tenant_id": ("uuid", False, None),
        "channel_name": ("text", False, None),
        "channel_type": ("text", True, None),
        "entity_id": ("uuid", True, None),
        "config": ("jsonb", True, "'{}'::jsonb"),
        "is_active": ("boolean", True, "true"),
        "last_activity_at": ("timestamp with time zone", True, None),
        "created_at": ("timestamp with time zone", True, None),
        "updated_at": ("timestamp with time zone", True, None),
    },
    "realtime_events_log": {
        "id": ("uuid", False, None),
        "tenant_id": ("uuid", False, None),
        "channel_id": ("uuid", True, None),
        "event_type": ("text", False, None),
        "event_data": ("jsonb", False, None),
        "published_at": ("timestamp with time zone", True, "now()"),
    },
    "realtime_connection_stats": {
        "id": ("uuid", False, None),
        "tenant_id": ("uuid", False, None),
        "channel_id": ("uuid", True, None),
        "connection_id": ("text", False, None),
        "client_info": ("jsonb", True, None),
        "connected_at": ("timestamp with time zone", True, "now()"),
        "disconnected_at": ("timestamp with time zone", True, None),
        "last_heartbeat_at": ("timestamp with time zone", True, None),
        "message_count": ("integer", True, "0"),
        "created_at": ("timestamp with time zone", True, "now()"),
    },
    "realtime_heartbeat_config": {
        "id": ("uuid", False, None),
        "channel_type": ("text", True, None),
        "heartbeat_interval_ms": ("integer", True, "30000"),
        "timeout_ms": ("integer", True, "90000"),
        "created_at": ("timestamp with time zone", True, None),
        "updated_at": ("timestamp with time zone", True, None),
    },
}
INDEXES = {
    "realtime_channels_pkey": "CREATE UNIQUE INDEX realtime_channels_pkey ON public.realtime_channels USING btree (id)",
    "idx_realtime_channels_name": (
        "CREATE UNIQUE INDEX idx_realtime_channels_name"
        " ON public.realtime_channels USING btree (tenant_id, channel_name)"
    ),
    "realtime_events_log_pkey": (
        "CREATE UNIQUE INDEX realtime_events_log_pkey ON public.realtime_events_log USING btree (id)"
    ),
    "idx_realtime_events_log_channel": (
        "CREATE INDEX idx_realtime_events_log_channel"
        " ON public.realtime_events_log USING btree (channel_id, published_at)"
    ),
    "realtime_connection_stats_pkey": (
        "CREATE UNIQUE INDEX realtime_connection_stats_pkey ON public.realtime_connection_stats USING btree (id)"
    ),
    "idx_realtime_connection_stats_active": (
        "CREATE INDEX idx_realtime_connection_stats_active ON public.realtime_connection_stats"
        " USING btree (disconnected_at) WHERE (disconnected_at IS NULL)"
    ),
    "realtime_heartbeat_config_pkey": (
        "CREATE UNIQUE INDEX realtime_heartbeat_config_pkey ON public.realtime_heartbeat_config USING btree (id)"
    ),
    "realtime_heartbeat_config_channel_type_key": (
        "CREATE UNIQUE INDEX realtime_heartbeat_config_channel_type_key"
        " ON public.realtime_heartbeat_config USING btree (channel_type)"
    ),
}


def rows(url: str, query: str) -> list[Any]:
    """What a query gives."""
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        result = connection.execute(sa.text(query))
        return list(result.all()) if result.returns_rows else []


def test_the_first_four_revisions_make_the_specifications_tables(empty_database_url: str) -> None:
    """Column by column, index by index, check by check."""
    upgrade(empty_database_url, "0202")
    found: dict[str, dict[str, tuple[str, bool, str | None]]] = {}
    for table, column, kind, nullable, default in rows(
        empty_database_url,
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name <> 'alembic_version' ORDER BY ordinal_position",
    ):
        found.setdefault(str(table), {})[str(column)] = (
            str(kind),
            nullable == "YES",
            None if default is None else str(default),
        )
    assert found == SPECIFIED
    indexes = rows(
        empty_database_url,
        "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'",
    )
    assert {str(name): str(text) for name, text in indexes} == INDEXES
    constraints = rows(
        empty_database_url,
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE contype IN ('c', 'f') AND connamespace = 'public'::regnamespace ORDER BY 1, 2",
    )
    types = "ARRAY['project'::text, 'session'::text, 'organization'::text, 'user'::text, 'system'::text]"
    assert [tuple(row) for row in constraints] == [
        ("realtime_channels", f"CHECK ((channel_type = ANY ({types})))"),
        ("realtime_connection_stats", "FOREIGN KEY (channel_id) REFERENCES realtime_channels(id)"),
        ("realtime_events_log", "FOREIGN KEY (channel_id) REFERENCES realtime_channels(id)"),
        ("realtime_heartbeat_config", f"CHECK ((channel_type = ANY ({types})))"),
    ]


def test_the_default_heartbeats_are_there(empty_database_url: str) -> None:
    """30 s and 90 s, or 60 s and 180 s."""
    upgrade(empty_database_url, "0202")
    query = "SELECT channel_type, heartbeat_interval_ms, timeout_ms FROM realtime_heartbeat_config ORDER BY 1"
    assert [tuple(row) for row in rows(empty_database_url, query)] == [
        ("organization", 60_000, 180_000),
        ("project", 30_000, 90_000),
        ("session", 30_000, 90_000),
        ("system", 60_000, 180_000),
        ("user", 30_000, 90_000),
    ]


def test_the_tables_in_python_are_the_tables_in_the_database(database_url: str) -> None:
    """`alembic check` finds nothing to do."""
    command.check(alembic_config(database_url))


def test_every_revision_goes_down_and_up_again(database_url: str) -> None:
    """To nothing and back, each step by itself."""
    config = alembic_config(database_url)
    steps = len(list(ScriptDirectory.from_config(config).walk_revisions()))
    for _ in range(steps):
        command.downgrade(config, "-1")
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
    assert [tuple(row) for row in rows(database_url, tables)] == [(0,)]
    for _ in range(steps):
        command.upgrade(config, "+1")
    command.check(config)


def test_an_upgrade_keeps_and_numbers_what_was_logged_before(empty_database_url: str) -> None:
    """Old events get their seq in order of time, per channel, and a head."""
    upgrade(empty_database_url, "0202")
    rows(
        empty_database_url,
        """
        INSERT INTO realtime_channels (id, tenant_id, channel_name, channel_type)
        SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, gen_random_uuid(), 'project:p' || n, 'project'
        FROM generate_series(1, 2) n;
        INSERT INTO realtime_events_log (id, tenant_id, channel_id, event_type, event_data, published_at)
        SELECT gen_random_uuid(), c.tenant_id, c.id, 'project.updated', jsonb_build_object('n', n),
               now() - make_interval(secs => n)
        FROM realtime_channels c, generate_series(1, 3) n;
        INSERT INTO realtime_events_log (id, tenant_id, event_type, event_data)
        VALUES (gen_random_uuid(), gen_random_uuid(), 'system.notice', '{}')
        """,
    )
    upgrade(empty_database_url)
    numbered = rows(
        empty_database_url,
        "SELECT channel_id::text, seq, event_data ->> 'n' FROM realtime_events_log"
        " WHERE channel_id IS NOT NULL ORDER BY 1, 2",
    )
    assert [(str(row[0])[-1], row[1], row[2]) for row in numbered] == [
        (channel, seq, str(4 - seq)) for channel in ("1", "2") for seq in (1, 2, 3)
    ]
    heads = rows(empty_database_url, "SELECT last_seq, first_seq, published_seq FROM realtime_channel_heads")
    assert [tuple(row) for row in heads] == [(3, 1, 3), (3, 1, 3)]
    total = rows(empty_database_url, "SELECT count(*) FROM realtime_events_log")
    assert [tuple(row) for row in total] == [(7,)]
