"""The heartbeat configuration: one row a channel type, for all tenants."""

import logging

from sqlalchemy import text

from realtime_ui.core.channels import ChannelType
from realtime_ui.core.errors import InvalidEvent
from realtime_ui.core.heartbeat import DEFAULTS, HeartbeatConfig
from realtime_ui.persistence.database import Database

logger = logging.getLogger(__name__)

_READ = text("SELECT channel_type, heartbeat_interval_ms, timeout_ms FROM realtime_heartbeat_config")
_WRITE = text("""
    INSERT INTO realtime_heartbeat_config
        (id, channel_type, heartbeat_interval_ms, timeout_ms, created_at, updated_at)
    VALUES (gen_random_uuid(), :type, :interval_ms, :timeout_ms, now(), now())
    ON CONFLICT (channel_type) DO UPDATE
    SET heartbeat_interval_ms = excluded.heartbeat_interval_ms, timeout_ms = excluded.timeout_ms, updated_at = now()
""")


class HeartbeatConfigRepository:
    """Reads and changes it.

    Args:
        database: where it stands.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> dict[ChannelType, HeartbeatConfig]:
        """What holds for each type. A row that somebody wrote by hand and that makes no sense counts as not there.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        async with self._database.single() as connection:
            rows = (await connection.execute(_READ)).all()
        found = dict(DEFAULTS)
        for row in rows:
            try:
                found[ChannelType(row.channel_type)] = HeartbeatConfig.checked(
                    row.heartbeat_interval_ms, row.timeout_ms
                )
            except (InvalidEvent, ValueError) as error:
                logger.warning("The heartbeat of %s is the default: %s", row.channel_type, error)
        return found

    async def write(self, kind: ChannelType, config: HeartbeatConfig) -> None:
        """Change what holds for a type.

        Raises:
            DatabaseUnavailable: the database cannot be reached.
        """
        values = {"type": kind.value, "interval_ms": config.interval_ms, "timeout_ms": config.timeout_ms}
        async with self._database.single() as connection:
            await connection.execute(_WRITE, values)
