"""Puts rows into the log past every entrance, as an earlier release may have stored them."""

import sqlalchemy as sa

from realtime_ui.persistence.database import Database

_INSERT = sa.text("""
    WITH moved AS (
        UPDATE realtime_channel_heads h SET last_seq = h.last_seq + 1
        FROM realtime_channels c WHERE c.id = h.channel_id AND c.channel_name = :name
        RETURNING h.channel_id, h.last_seq, c.tenant_id
    )
    INSERT INTO realtime_events_log (id, tenant_id, channel_id, event_type, event_data, seq, event_id, emitted_by)
    SELECT gen_random_uuid(), tenant_id, channel_id, 'project.updated', cast(:payload AS jsonb), last_seq,
           gen_random_uuid()::text, 'an earlier release' FROM moved
""")

UNREADABLE = {
    "260 levels": ("depth", '{"changes": {"x": ' + "[" * 258 + "]" * 258 + "}}"),
    "900 levels": ("depth", '{"changes": {"x": ' + "[" * 898 + "]" * 898 + "}}"),
    "5,000 levels": ("depth", '{"a":' * 5_000 + "1" + "}" * 5_000),
    "a number beyond a double": ("number", '{"n": 1' + "0" * 400 + ".5}"),
    "a number beyond Python's digits": ("number", '{"n": 1' + "0" * 5_000 + "}"),
    "300 kB": ("size", '{"text": "' + "x" * 300_000 + '"}'),
}
"""Why each is not shown, and its payload."""


async def store_raw(database_url: str, channel: str, *payloads: str) -> None:
    """Append payloads to a channel that exists, each as the next message, unpublished."""
    database = Database(database_url, pool=1)
    try:
        for payload in payloads:
            async with database.single() as connection:
                await connection.execute(_INSERT, {"name": channel, "payload": payload})
    finally:
        await database.close()
