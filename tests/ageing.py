"""Does to a log what time and failovers do: messages become old and are pruned, or it goes back."""

import uuid

import sqlalchemy as sa

from realtime_ui.core.channels import ChannelType
from realtime_ui.core.clock import SystemClock
from realtime_ui.persistence.database import Database
from realtime_ui.persistence.retention import Retention

_AGE = sa.text("""
    UPDATE realtime_events_log e SET published_at = now() - make_interval(secs => :days * 86400)
    FROM realtime_channels c
    WHERE c.id = e.channel_id AND c.channel_name = :name AND (cast(:tenant AS uuid) IS NULL OR c.tenant_id = :tenant)
      AND e.seq BETWEEN :first AND :last
""")


async def age(
    database: Database, channel: str, first: int, last: int, *, days: float, tenant: uuid.UUID | None = None
) -> None:
    """Let the messages from `first` to `last` be some days old."""
    values = {"name": channel, "first": first, "last": last, "days": days, "tenant": tenant}
    async with database.single() as connection:
        await connection.execute(_AGE, values)


async def let_go(database_url: str, channel: str, *, upto: int) -> None:
    """Prune a channel's messages up to a seq, as an app that keeps them for 30 days would in a month."""
    database = Database(database_url, pool=1)
    try:
        await age(database, channel, 1, upto, days=31)
        await Retention(database, dict.fromkeys(ChannelType, 30.0), SystemClock()).prune()
    finally:
        await database.close()


_LOSE = sa.text("""
    WITH lost AS (
        DELETE FROM realtime_events_log e USING realtime_channels c
        WHERE c.id = e.channel_id AND c.channel_name = :name AND e.seq > :last
    )
    UPDATE realtime_channel_heads h
    SET last_seq = :last, published_seq = least(h.published_seq, :last), published_runs = '{}'
    FROM realtime_channels c WHERE c.id = h.channel_id AND c.channel_name = :name
""")


async def go_back(database_url: str, channel: str, last: int) -> None:
    """Leave a channel's log as a failover does to a standby that had it only so far; its epoch stays."""
    database = Database(database_url, pool=1)
    try:
        async with database.transaction() as connection:
            await connection.execute(_LOSE, {"name": channel, "last": last})
    finally:
        await database.close()
