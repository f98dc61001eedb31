"""How often each channel type's connections beat, as `realtime_heartbeat_config` has it."""

from collections.abc import Mapping

from sqlalchemy import text

from realtime_ui.core.channels import ChannelType
from realtime_ui.persistence.database import Database

DEFAULT_S = 30.0
_READ = text("SELECT channel_type, heartbeat_interval_ms FROM realtime_heartbeat_config")


class HeartbeatIntervals:
    """Reads the table.

    Args:
        database: where it stands.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Mapping[ChannelType, float]:
        """The interval of each type now, in s; 30 s where the table has none."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_READ)).all()
        found = {row.channel_type: row.heartbeat_interval_ms for row in rows}
        return {kind: (found.get(kind.value) or DEFAULT_S * 1000) / 1000 for kind in ChannelType}
