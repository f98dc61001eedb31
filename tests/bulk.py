"""Long logs at once, as no appending could make them in a test's time."""

import uuid

import sqlalchemy as sa

from realtime_ui.core.channels import ChannelName
from realtime_ui.persistence.database import Database

_STATEMENTS = (
    """INSERT INTO realtime_channels
           (id, tenant_id, channel_name, channel_type, last_activity_at, created_at, updated_at)
       VALUES (gen_random_uuid(), :tenant, :name, :type, now(), now(), now())""",
    """INSERT INTO realtime_channel_heads (channel_id, epoch, last_seq, published_seq)
       SELECT id, gen_random_uuid(), :count, :count FROM realtime_channels
       WHERE tenant_id = :tenant AND channel_name = :name""",
    """INSERT INTO realtime_events_log (id, tenant_id, channel_id, event_type, event_data, seq, event_id)
       SELECT gen_random_uuid(), tenant_id, c.id, 'project.updated',
              jsonb_build_object('changes', CASE n % 100 WHEN 0 THEN jsonb_build_object('step', n, 'mark', n)
                                                         ELSE jsonb_build_object('step', n) END), n, n::text
       FROM realtime_channels c, generate_series(1, :count) n WHERE tenant_id = :tenant AND channel_name = :name""",
)


async def fill_log(database: Database, tenant: uuid.UUID, channel: str, count: int) -> None:
    """Make a channel with many events, past every append: the n-th sets `step` to n, each hundredth `mark` too."""
    values = {"tenant": tenant, "name": channel, "type": ChannelName.parse(channel).type.value, "count": count}
    async with database.transaction() as connection:
        for statement in _STATEMENTS:
            await connection.execute(sa.text(statement), values)


async def tenant_named(database: Database, name: str) -> uuid.UUID:
    """A tenant's id."""
    async with database.single() as connection:
        found: uuid.UUID = (
            await connection.execute(sa.text("SELECT id FROM tenants WHERE name = :name"), {"name": name})
        ).scalar_one()
    return found
