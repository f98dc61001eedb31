"""Changes of people, sessions and keys, as triggers record them (revision 0211)."""

import uuid

from sqlalchemy import text

from realtime_ui.persistence.database import Database

KEPT_S = 3600
_RECENT = text("""
    SELECT id, subject FROM realtime_access_changes WHERE changed_at > now() - make_interval(secs => :seconds)
""")
_PRUNE = text("DELETE FROM realtime_access_changes WHERE changed_at < now() - make_interval(secs => :seconds)")


class AccessChangeRepository:
    """Reads and prunes the changes.

    Args:
        database: where they are stored.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def recent(self, seconds: float) -> dict[int, uuid.UUID]:
        """The changes of the last seconds: each one's number, and the person, session or key that it is about."""
        async with self._database.single() as connection:
            rows = (await connection.execute(_RECENT, {"seconds": seconds})).all()
        return {row.id: row.subject for row in rows}

    async def prune(self) -> None:
        """Delete the changes that every worker has seen long ago."""
        async with self._database.single() as connection:
            await connection.execute(_PRUNE, {"seconds": KEPT_S})
