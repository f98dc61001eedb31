"""Retention: lets the oldest messages of each channel go when they are older than its type is kept.

Batches are small, with a pause between them, so that an append never waits long for its channel's head.
What one batch does, in one transaction, is `realtime_prune`'s (revision 0206). Any number of workers may do
this at once: each batch goes on where the last one ended, whoever that was.
"""

import asyncio
import logging
import uuid
from collections.abc import Mapping

from sqlalchemy import text

from realtime_ui.core.channels import ChannelType
from realtime_ui.core.clock import Clock
from realtime_ui.core.errors import RealtimeError
from realtime_ui.persistence.database import Database

logger = logging.getLogger(__name__)

INTERVAL_S = 120.0
BATCH = 500
PAUSE_S = 0.05
DAY_S = 86_400

# One index probe a channel: LIMIT keeps PostgreSQL from joining with all of the log.
_DUE = text("""
    SELECT h.channel_id, k.kept_s
    FROM unnest(cast(:types AS text[]), cast(:kept_s AS float8[])) AS k (type, kept_s)
    JOIN realtime_channels c ON c.channel_type = k.type
    JOIN realtime_channel_heads h ON h.channel_id = c.id
    CROSS JOIN LATERAL (
        SELECT e.published_at FROM realtime_events_log e
        WHERE e.channel_id = h.channel_id AND e.seq = h.first_seq LIMIT 1) oldest
    WHERE oldest.published_at < now() - make_interval(secs => k.kept_s)
    ORDER BY oldest.published_at
""")
_PRUNE = text("SELECT realtime_prune(:channel, now() - make_interval(secs => :kept_s), :batch)")


class Retention:
    """Prunes, again and again. `start` and `stop` own the task.

    Args:
        database: where the log stands.
        kept_days: how many days each channel type is kept; None for ever.
        clock: says when to look again; how old a message is, the database's clock says.
    """

    def __init__(self, database: Database, kept_days: Mapping[ChannelType, float | None], clock: Clock) -> None:
        self._database = database
        self._kept_s = {kind.value: days * DAY_S for kind, days in kept_days.items() if days is not None}
        self._clock = clock
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to prune."""
        self._task = asyncio.create_task(self._run(), name="retention")

    async def stop(self) -> None:
        """End; a batch in flight is rolled back."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def prune(self) -> int:
        """Delete all that is too old now; returns how many messages that were.

        Raises:
            DatabaseUnavailable: what is left is deleted the next time.
        """
        pruned = 0
        for channel, kept_s in await self._due():
            try:
                pruned += await self._prune_channel(channel, kept_s)
            except RealtimeError:
                raise
            except Exception:
                logger.exception("Channel %s could not be pruned", channel)
        return pruned

    async def _run(self) -> None:
        while True:
            try:
                if pruned := await self.prune():
                    logger.info("%s messages were older than their channels are kept", pruned)
            except RealtimeError as error:
                logger.debug("The log is pruned later: %s", error)  # health logs why, once
            except Exception:
                logger.exception("The log could not be pruned")
            await self._clock.sleep(INTERVAL_S)

    async def _due(self) -> list[tuple[uuid.UUID, float]]:
        values = {"types": list(self._kept_s), "kept_s": list(self._kept_s.values())}
        async with self._database.single() as connection:
            return [(row.channel_id, row.kept_s) for row in (await connection.execute(_DUE, values)).all()]

    async def _prune_channel(self, channel: uuid.UUID, kept_s: float) -> int:
        pruned = 0
        while True:
            values = {"channel": channel, "kept_s": kept_s, "batch": BATCH}
            async with self._database.single() as connection:
                count: int = (await connection.execute(_PRUNE, values)).scalar_one()
            pruned += count
            if count < BATCH:
                return pruned
            await self._clock.sleep(PAUSE_S)
